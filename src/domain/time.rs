//! Instants and days.
//!
//! An instant is a whole number of UTC seconds. A day is a civil date in China,
//! which lies at a fixed +08:00 and ends at 24:00: a certificate is valid
//! *through* its last day, so its `exp` is the instant that day ends.
//!
//! # Not here
//!
//! No clock. Who needs the time is told it.

use std::fmt;
use std::str::FromStr;

use jiff::civil;
use jiff::tz::Offset;

/// An instant: whole seconds since 1970-01-01T00:00:00Z. Always between the years 1970 and 9999.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The instant so many seconds after 1970, or `None` outside the years 1970 to 9999.
    pub const fn new(seconds: i64) -> Option<Self> {
        if seconds < 0 || seconds > SECONDS_MAX { None } else { Some(Self(seconds)) }
    }

    /// As [`UnixTime::new`], with what lies outside moved to the nearer end.
    pub const fn clamped(seconds: i64) -> Self {
        if seconds < 0 {
            Self(0)
        } else if seconds > SECONDS_MAX {
            Self(SECONDS_MAX)
        } else {
            Self(seconds)
        }
    }

    /// Seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Whole minutes since 1970: the only time that the public log tells.
    pub const fn minutes(self) -> i64 {
        self.0 / 60
    }

    /// Whole hours since 1970.
    pub const fn hours(self) -> i64 {
        self.0 / 3600
    }

    /// The instant so many seconds later; stops at the year 9999.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self::clamped(self.0.saturating_add(seconds))
    }

    /// The instant so many seconds earlier; stops at 1970.
    #[must_use]
    pub const fn minus(self, seconds: i64) -> Self {
        Self::clamped(self.0.saturating_sub(seconds))
    }

    /// The day it is in China at this instant.
    pub fn date(self) -> Date {
        let timestamp = jiff::Timestamp::from_second(self.0).expect("within 1970 to 9999");
        Date(CHINA.to_datetime(timestamp).date())
    }

    /// `2026-03-03 14:05` in China, for people.
    pub fn china_text(self) -> String {
        let timestamp = jiff::Timestamp::from_second(self.0).expect("within 1970 to 9999");
        CHINA.to_datetime(timestamp).strftime("%Y-%m-%d %H:%M").to_string()
    }
}

/// RFC 3339 in UTC: `2026-03-03T06:05:00Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = jiff::Timestamp::from_second(self.0).expect("within 1970 to 9999");
        write!(f, "{timestamp}")
    }
}

impl FromStr for UnixTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| TimeError::Instant)?;
        if timestamp.subsec_nanosecond() != 0 {
            return Err(TimeError::Instant);
        }
        Self::new(timestamp.as_second()).ok_or(TimeError::Instant)
    }
}

/// A day in China. Every `Date` is a valid Gregorian date between the years 1900 and 9998.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Date(civil::Date);

impl Date {
    /// That day, if there is one.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        let date = civil::Date::new(year, month, day).ok()?;
        (1900..=9998).contains(&date.year()).then_some(Self(date))
    }

    /// The instant the day begins: 00:00 +08:00.
    pub fn starts_at(self) -> UnixTime {
        let timestamp = CHINA.to_timestamp(self.0.at(0, 0, 0, 0)).expect("within 1900 to 9998");
        UnixTime::clamped(timestamp.as_second())
    }

    /// The instant the day ends: 24:00 +08:00, which is no longer in the day.
    pub fn ends_at(self) -> UnixTime {
        let next = self.0.tomorrow().expect("9998 has a next year");
        let timestamp = CHINA.to_timestamp(next.at(0, 0, 0, 0)).expect("within 1900 to 9999");
        UnixTime::clamped(timestamp.as_second())
    }

    /// Year, month, day.
    pub fn parts(self) -> (i16, i8, i8) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// The same day so many months later; the last day of that month where it is shorter.
    pub fn plus_months(self, months: u32) -> Option<Self> {
        let span = jiff::Span::new().try_months(i64::from(months)).ok()?;
        let date = self.0.checked_add(span).ok()?;
        (1900..=9998).contains(&date.year()).then_some(Self(date))
    }

    /// `2026年3月3日`, as printed on certificates.
    pub fn chinese_text(self) -> String {
        let (year, month, day) = self.parts();
        format!("{year}年{month}月{day}日")
    }
}

/// `2026-03-03`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Takes `2026-03-03` and the national table's `20260303`; nothing else.
impl FromStr for Date {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bytes = text.as_bytes();
        let digits: Vec<u8> = match bytes.len() {
            8 => bytes.to_vec(),
            10 if bytes[4] == b'-' && bytes[7] == b'-' => [&bytes[..4], &bytes[5..7], &bytes[8..]].concat(),
            _ => return Err(TimeError::Date),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimeError::Date);
        }
        let number = |range: std::ops::Range<usize>| {
            digits[range].iter().fold(0i16, |sum, digit| sum * 10 + i16::from(digit - b'0'))
        };
        let part = |range| i8::try_from(number(range)).map_err(|_| TimeError::Date);
        Self::new(number(0..4), part(4..6)?, part(6..8)?).ok_or(TimeError::Date)
    }
}

/// Why a text is not an instant or a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeError {
    /// Not a date `2026-03-03` or `20260303` of a year between 1900 and 9998.
    Date,
    /// Not an RFC 3339 instant in whole seconds.
    Instant,
}

impl TimeError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Date => "time/date",
            Self::Instant => "time/instant",
        }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Date => "not a date like `2026-03-03`",
            Self::Instant => "not an instant like `2026-03-03T06:05:00Z`",
        })
    }
}

impl std::error::Error for TimeError {}

/// China keeps one offset the year round.
const CHINA: Offset = jiff::tz::offset(8);

/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_valid_through_its_last_day_in_china() {
        let last: Date = "2026-03-03".parse().unwrap();
        assert_eq!(last.ends_at().to_string(), "2026-03-03T16:00:00Z");
        assert_eq!(last.ends_at().minus(1).date(), last);
        assert_eq!(last.ends_at().date(), "20260304".parse().unwrap());
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in
            ["2026-02-29", "2026-3-3", "26-03-03", "", "2026/03/03", "２０２６0303", "18991231", "2026-13-01"]
        {
            assert_eq!(text.parse::<Date>(), Err(TimeError::Date), "{text:?}");
        }
        assert!("2024-02-29".parse::<Date>().is_ok());
    }

    #[test]
    fn instants_survive_their_text() {
        let instant = UnixTime::new(1_772_517_900).unwrap();
        assert_eq!(instant.to_string().parse(), Ok(instant));
        assert_eq!("2026-03-03T06:05:00.5Z".parse::<UnixTime>(), Err(TimeError::Instant));
        assert_eq!(UnixTime::new(-1), None);
    }

    #[test]
    fn months_end_where_the_month_ends() {
        let date: Date = "2024-01-31".parse().unwrap();
        assert_eq!(date.plus_months(1).unwrap().to_string(), "2024-02-29");
    }
}
