//! What the log records: one deterministic CBOR array per entry, `[1, event, minute, issuer, …]`.
//!
//! An [`Entry`] has exactly one encoding, and only that one decodes. Nothing in
//! it tells of a person: a certificate is its type or class and a digest, a
//! change of status is a slot. A reader that meets a version or event it does
//! not know stops there; to go on would be to guess. The fields of each event are
//! in [`crate::log::event`].

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::log::cbor::Reader;
use crate::log::cbor::Writer;
use crate::log::event::EntryError;
use crate::log::event::Event;
use crate::log::event::Minute;
use crate::log::event::is_all;
use crate::log::event::is_code;

/// One entry of the log. It has one encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    minute: Minute,
    issuer: Option<String>,
    event: Event,
}

impl Entry {
    /// An entry recorded at that time, by that issuer (its USCC) or by the operator.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] when a field is not what it must be.
    pub fn new(event: Event, at: UnixTime, issuer: Option<&str>) -> Result<Self, EntryError> {
        if !issuer.is_none_or(|text| text.len() == ISSUER_LENGTH && is_all(text, is_code)) {
            return Err(EntryError::Malformed { part: "issuer" });
        }
        if issuer.is_none() && matches!(event, Event::Issued { .. }) {
            return Err(EntryError::Malformed { part: "issuer" });
        }
        event.check()?;
        Ok(Self { minute: Minute::of(at), issuer: issuer.map(str::to_owned), event })
    }

    /// Reads an entry; only its one encoding is accepted.
    ///
    /// # Errors
    /// [`EntryError::UnknownVersion`] and [`EntryError::UnknownEvent`]: stop reading the log here.
    /// [`EntryError::Malformed`] otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        let version = reader.unsigned()?;
        if version != VERSION {
            return Err(EntryError::UnknownVersion { version });
        }
        let number = reader.unsigned()?;
        let minute = Minute::new(reader.unsigned()?).ok_or(EntryError::Malformed { part: "minute" })?;
        let issuer = if reader.null() { None } else { Some(reader.text()?) };
        let items = usize::try_from(items).map_err(|_| EntryError::Malformed { part: "items" })?;
        let fields = items.checked_sub(HEADER_ITEMS).ok_or(EntryError::Malformed { part: "items" })?;
        let event = Event::decode(number, fields, &mut reader)?;
        reader.finish()?;
        let entry = Self::new(event, minute.time(), issuer)?;
        // The reader is strict already; this makes it certain.
        if entry.encode() == bytes { Ok(entry) } else { Err(EntryError::Malformed { part: "encoding" }) }
    }

    /// The bytes that are logged.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(HEADER_ITEMS + self.event.fields());
        writer.unsigned(VERSION);
        writer.unsigned(self.event.number());
        writer.unsigned(self.minute.number());
        match &self.issuer {
            Some(issuer) => writer.text(issuer),
            None => writer.null(),
        }
        self.event.encode(&mut writer);
        writer.finish()
    }

    /// When it was recorded, to the minute.
    pub const fn minute(&self) -> Minute {
        self.minute
    }

    /// The USCC of the department that did it; `None` for the operator.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What happened.
    pub const fn event(&self) -> &Event {
        &self.event
    }
}

/// What the log says of a credential: SHA-256("kabao/credential/1" ‖ 0x00 ‖ issuer-signed JWT).
pub fn commitment(issuer_signed_jwt: &str) -> Digest {
    Digest::of(&[COMMITMENT_LABEL, &[0], issuer_signed_jwt.as_bytes()])
}

const VERSION: u64 = 1;
const COMMITMENT_LABEL: &[u8] = b"kabao/credential/1";

/// Version, event, minute, issuer.
const HEADER_ITEMS: usize = 4;

/// Characters of a USCC (GB 32100).
const ISSUER_LENGTH: usize = 18;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::log::checkpoint::Checkpoint;
    use crate::log::event::Field;
    use crate::log::event::KeyAction;
    use crate::log::event::SlotValue;

    pub(in crate::log) const ISSUER: &str = "91350100M000100Y43";

    fn at() -> UnixTime {
        UnixTime::clamped(1_700_000_059)
    }

    fn digest() -> Digest {
        Digest::of(&[b"x"])
    }

    fn entry(event: Event) -> Entry {
        Entry::new(event, at(), Some(ISSUER)).unwrap()
    }

    /// One of each event.
    fn events() -> Vec<Event> {
        let previous = Checkpoint::new("log.example/0".parse().unwrap(), 7, digest()).unwrap();
        let key = |x509_serial| Event::Key {
            action: KeyAction::Retired,
            purpose: "issuer".to_owned(),
            kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
            x509_serial,
        };
        let fields =
            vec![Field::Unsigned(7), Field::Text("a".to_owned()), Field::Bytes(vec![1]), Field::Null];
        vec![
            Event::Opened { origin: "log.example/1".parse().unwrap(), previous: None },
            Event::Opened { origin: "log.example/1".parse().unwrap(), previous: Some(previous) },
            Event::Issued { type_or_class: "11100000000013338W001".to_owned(), commitment: digest() },
            Event::Status { list: 3, index: 1_048_575, value: SlotValue::Ended, class: 1 },
            Event::ListOpened { list: u32::MAX },
            key(None),
            key(Some(vec![0x7f; 20])),
            Event::Trust { version: 5, digest: digest() },
            Event::Accesses { hour: 472_222, count: 9, root: digest() },
            Event::Shredded { count: 1 },
            Event::Snapshot { list: 0, digest: digest(), size: 70_000 },
            Event::ClockOverride { from: Minute::of(at()), to: Minute::of(at().minus(600)) },
            Event::SealUsed { fields },
            Event::SealUsed { fields: vec![] },
        ]
    }

    #[test]
    fn every_event_survives_its_one_encoding() {
        for event in events() {
            for issuer in [Some(ISSUER), None] {
                let Ok(entry) = Entry::new(event.clone(), at(), issuer) else {
                    assert!(issuer.is_none() && event.name() == "issued");
                    continue;
                };
                assert_eq!(Entry::decode(&entry.encode()), Ok(entry), "{}", event.name());
            }
        }
    }

    #[test]
    fn the_encoding_is_frozen() {
        let hexadecimal = |event| hex::encode(entry(event).encode());
        let header = format!("1a01b0551672{}", hex::encode(ISSUER));
        assert_eq!(header.len(), 12 + 36);
        assert_eq!(
            hexadecimal(Event::Status { list: 0, index: 1000, value: SlotValue::Suspended, class: 2 }),
            format!("880103{header}001903e80202"),
        );
        let operator = Entry::new(Event::ListOpened { list: 24 }, at(), None).unwrap();
        assert_eq!(hex::encode(operator.encode()), "8501041a01b05516f61818");
        assert_eq!(commitment("jwt").to_string(), Digest::of(&[b"kabao/credential/1\0jwt"]).to_string(),);
    }

    #[test]
    fn no_second_encoding_of_an_entry_is_read() {
        for event in events() {
            let bytes = entry(event).encode();
            let trailing = [&bytes[..], &[0xf6]].concat();
            assert_eq!(Entry::decode(&trailing), Err(EntryError::Malformed { part: "trailing bytes" }));
            for end in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..end]).is_err());
            }
            // The version as two bytes: 18 01.
            let long = [&bytes[..1], &[0x18], &bytes[1..]].concat();
            let expected = Err(EntryError::Malformed { part: "integer not in its shortest form" });
            assert_eq!(Entry::decode(&long), expected);
        }
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes() {
        for event in events() {
            let bytes = entry(event).encode();
            for place in 0..bytes.len() {
                for value in 0..=255 {
                    let mut changed = bytes.clone();
                    changed[place] = value;
                    if let Ok(entry) = Entry::decode(&changed) {
                        assert_eq!(entry.encode(), changed);
                    }
                }
            }
        }
    }

    #[test]
    fn a_reader_stops_at_what_it_does_not_know() {
        let mut bytes = entry(Event::Shredded { count: 1 }).encode();
        bytes[1] = 2;
        assert_eq!(Entry::decode(&bytes), Err(EntryError::UnknownVersion { version: 2 }));
        (bytes[1], bytes[2]) = (1, 12);
        assert_eq!(Entry::decode(&bytes), Err(EntryError::UnknownEvent { event: 12 }));
    }

    #[test]
    fn fields_that_do_not_fit_make_no_entry() {
        let check = |event, part| {
            let made = Entry::new(event, at(), Some(ISSUER));
            assert_eq!(made, Err(EntryError::Malformed { part }));
        };
        check(Event::Status { list: 0, index: 1 << 20, value: SlotValue::Ended, class: 1 }, "index");
        check(Event::Status { list: 0, index: 0, value: SlotValue::Ended, class: 0 }, "class");
        check(Event::Status { list: 0, index: 0, value: SlotValue::Active, class: 3 }, "class");
        check(Event::Status { list: 0, index: 0, value: SlotValue::Ended, class: 24 }, "class");
        check(Event::Issued { type_or_class: "身份证".to_owned(), commitment: digest() }, "type");
        check(Event::Issued { type_or_class: "A".repeat(41), commitment: digest() }, "type");
        check(Event::SealUsed { fields: vec![Field::Null; 17] }, "fields");
        let key = |purpose: &str, kid: &str, serial: &[u8]| Event::Key {
            action: KeyAction::Generated,
            purpose: purpose.to_owned(),
            kid: kid.to_owned(),
            x509_serial: Some(serial.to_vec()),
        };
        check(key("", "kid", &[1]), "purpose");
        check(key("log", "k.d", &[1]), "kid");
        check(key("log", "kid", &[]), "serial");
        check(key("log", "kid", &[1; 21]), "serial");
        for issuer in ["", "91350100m000100y43", "91350100M000100Y4"] {
            let made = Entry::new(Event::Shredded { count: 1 }, at(), Some(issuer));
            assert_eq!(made, Err(EntryError::Malformed { part: "issuer" }), "{issuer:?}");
        }
    }

    #[test]
    fn a_count_of_fields_that_is_not_there_allocates_nothing() {
        // An array of 2^64 - 1 items.
        let bytes = hex::decode("9bffffffffffffffff010b00f6").unwrap();
        assert_eq!(Entry::decode(&bytes), Err(EntryError::Malformed { part: "fields" }));
    }
}
