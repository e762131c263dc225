//! The life of a certificate, as one table of legal moves.
//!
//! `active ⇄ suspended`, then one end: superseded 换发, cancelled 注销 (by the holder),
//! withdrawn 撤销 (wrongly granted), revoked 吊销 (a sanction) or transferred 转出. An
//! end never goes back; over a milder end a graver one may still be recorded. Expiry is
//! not a move but a [`view`] of the date. (行政许可法 Art. 69, 70 tell the ends apart.)

use std::fmt;

use super::time::{Date, UnixTime};

/// Where a certificate stands, its date left aside.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// 有效.
    Active,
    /// 暂停.
    Suspended,
    /// 换发: a newer version took its place.
    Superseded,
    /// 转出: another place looks after it.
    Transferred,
    /// 注销: ended for or by the holder.
    Cancelled,
    /// 撤销: it should not have been granted.
    Withdrawn,
    /// 吊销: taken away as a sanction.
    Revoked,
}

/// What can be done to a certificate.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChangeKind {
    /// 暂停.
    Suspend,
    /// 恢复.
    Resume,
    /// 换发.
    Replace,
    /// 转出.
    Transfer,
    /// 注销.
    Cancel,
    /// 撤销.
    Withdraw,
    /// 吊销.
    Revoke,
}

/// The whole table: from, what is done, to. Nothing else is legal.
pub const MOVES: &[(State, ChangeKind, State)] = &[
    (State::Active, ChangeKind::Suspend, State::Suspended),
    (State::Active, ChangeKind::Replace, State::Superseded),
    (State::Active, ChangeKind::Transfer, State::Transferred),
    (State::Active, ChangeKind::Cancel, State::Cancelled),
    (State::Active, ChangeKind::Withdraw, State::Withdrawn),
    (State::Active, ChangeKind::Revoke, State::Revoked),
    (State::Suspended, ChangeKind::Resume, State::Active),
    (State::Suspended, ChangeKind::Replace, State::Superseded),
    (State::Suspended, ChangeKind::Transfer, State::Transferred),
    (State::Suspended, ChangeKind::Cancel, State::Cancelled),
    (State::Suspended, ChangeKind::Withdraw, State::Withdrawn),
    (State::Suspended, ChangeKind::Revoke, State::Revoked),
    (State::Superseded, ChangeKind::Withdraw, State::Withdrawn),
    (State::Superseded, ChangeKind::Revoke, State::Revoked),
    (State::Transferred, ChangeKind::Withdraw, State::Withdrawn),
    (State::Transferred, ChangeKind::Revoke, State::Revoked),
    (State::Cancelled, ChangeKind::Withdraw, State::Withdrawn),
    (State::Cancelled, ChangeKind::Revoke, State::Revoked),
    (State::Withdrawn, ChangeKind::Revoke, State::Revoked),
];

impl State {
    /// Every state, the mildest first.
    pub const ALL: [Self; 7] = [
        Self::Active,
        Self::Suspended,
        Self::Superseded,
        Self::Transferred,
        Self::Cancelled,
        Self::Withdrawn,
        Self::Revoked,
    ];

    /// Its name in API, files and log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Superseded => "superseded",
            Self::Transferred => "transferred",
            Self::Cancelled => "cancelled",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// Its name in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Active => "有效",
            Self::Suspended => "暂停",
            Self::Superseded => "已换发",
            Self::Transferred => "已转出",
            Self::Cancelled => "已注销",
            Self::Withdrawn => "已撤销",
            Self::Revoked => "已吊销",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Where a change leads.
    ///
    /// # Errors
    /// [`MoveError`] unless [`MOVES`] has the move.
    pub fn after(self, kind: ChangeKind) -> Result<Self, MoveError> {
        let found = MOVES.iter().find(|(from, done, _)| *from == self && *done == kind);
        found.map(|(_, _, to)| *to).ok_or(MoveError { state: self, kind })
    }

    /// Its two bits in a status list: 0 active, 1 every end, 2 suspended. Expiry does not show.
    pub const fn status_bits(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Suspended => 2,
            Self::Superseded | Self::Transferred | Self::Cancelled | Self::Withdrawn | Self::Revoked => 1,
        }
    }

    /// What the public log says of a change into this state: 0 reinstated, 1 ended, 2 suspended, 3 replaced.
    pub const fn coarse_class(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Cancelled | Self::Revoked | Self::Transferred | Self::Withdrawn => 1,
            Self::Suspended => 2,
            Self::Superseded => 3,
        }
    }

    /// Whether nothing leads back from here.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Active | Self::Suspended)
    }
}

impl ChangeKind {
    /// Every change.
    pub const ALL: [Self; 7] = [
        Self::Suspend,
        Self::Resume,
        Self::Replace,
        Self::Transfer,
        Self::Cancel,
        Self::Withdraw,
        Self::Revoke,
    ];

    /// Its name in API, files and log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Replace => "replace",
            Self::Transfer => "transfer",
            Self::Cancel => "cancel",
            Self::Withdraw => "withdraw",
            Self::Revoke => "revoke",
        }
    }

    /// Its name in Chinese law and practice.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Suspend => "暂停",
            Self::Resume => "恢复",
            Self::Replace => "换发",
            Self::Transfer => "转出",
            Self::Cancel => "注销",
            Self::Withdraw => "撤销",
            Self::Revoke => "吊销",
        }
    }

    /// Its number in stored rows; never reused.
    pub const fn number(self) -> u8 {
        match self {
            Self::Suspend => 1,
            Self::Resume => 2,
            Self::Replace => 3,
            Self::Transfer => 4,
            Self::Cancel => 5,
            Self::Withdraw => 6,
            Self::Revoke => 7,
        }
    }

    /// The change with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The change with this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// The table has no such move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MoveError {
    /// Where it stands.
    pub state: State,
    /// What was to be done.
    pub kind: ChangeKind,
}

impl MoveError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "lifecycle/illegal-move"
    }
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a certificate that is {} cannot be put through `{}`", self.state.name(), self.kind.name())
    }
}

impl std::error::Error for MoveError {}

/// Where a certificate stands on a day: its state, or expired.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StateView {
    /// Active by its state, and its last day is over.
    Expired,
    /// As its state says.
    In(State),
}

impl StateView {
    /// Its name in API and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::In(state) => state.name(),
        }
    }

    /// Its name in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Expired => "已过期",
            Self::In(state) => state.zh(),
        }
    }
}

/// Where a certificate stands at this instant. A suspended certificate expires like any other; an end stays what it is.
pub fn view(state: State, valid_until: Option<Date>, now: UnixTime) -> StateView {
    if !state.is_end() && valid_until.is_some_and(|last| now >= last.ends_at()) {
        StateView::Expired
    } else {
        StateView::In(state)
    }
}

/// Why a certificate was changed. A closed list, with words for people.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReasonCode {
    /// A court or another authority ordered it.
    CourtOrder,
    /// Particulars changed.
    DataChange,
    /// It was issued by mistake.
    Error,
    /// It was obtained by deceit.
    Fraud,
    /// The holder died or the organisation was dissolved.
    HolderEnded,
    /// The holder asked for it.
    HolderRequest,
    /// A key was compromised.
    KeyCompromise,
    /// Reported lost.
    Lost,
    /// The holder moved away.
    Moved,
    /// What it rested on no longer holds.
    NotFulfilled,
    /// Renewed.
    Renewal,
    /// Its status was published before a loss of data; what was done is not known.
    Restored,
    /// A sanction.
    Sanction,
    /// The reason for a suspension is gone.
    Settled,
    /// Being looked into.
    UnderReview,
}

impl ReasonCode {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::CourtOrder,
        Self::DataChange,
        Self::Error,
        Self::Fraud,
        Self::HolderEnded,
        Self::HolderRequest,
        Self::KeyCompromise,
        Self::Lost,
        Self::Moved,
        Self::NotFulfilled,
        Self::Renewal,
        Self::Restored,
        Self::Sanction,
        Self::Settled,
        Self::UnderReview,
    ];

    /// Stable name for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CourtOrder => "court-order",
            Self::DataChange => "data-change",
            Self::Error => "error",
            Self::Fraud => "fraud",
            Self::HolderEnded => "holder-ended",
            Self::HolderRequest => "holder-request",
            Self::KeyCompromise => "key-compromise",
            Self::Lost => "lost",
            Self::Moved => "moved",
            Self::NotFulfilled => "not-fulfilled",
            Self::Renewal => "renewal",
            Self::Restored => "restored",
            Self::Sanction => "sanction",
            Self::Settled => "settled",
            Self::UnderReview => "under-review",
        }
    }

    /// In Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::CourtOrder => "法院或有权机关决定",
            Self::DataChange => "登记事项变更",
            Self::Error => "发证错误",
            Self::Fraud => "以欺骗、贿赂等不正当手段取得",
            Self::HolderEnded => "持证人死亡或主体终止",
            Self::HolderRequest => "持证主体申请",
            Self::KeyCompromise => "签名密钥泄露",
            Self::Lost => "挂失",
            Self::Moved => "迁出",
            Self::NotFulfilled => "不再具备条件",
            Self::Renewal => "延续或换发",
            Self::Restored => "数据恢复",
            Self::Sanction => "行政处罚",
            Self::Settled => "暂停事由消除",
            Self::UnderReview => "核查中",
        }
    }

    /// The reason with this name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_never_goes_back_and_only_a_graver_one_follows() {
        for state in State::ALL.into_iter().filter(|state| state.is_end()) {
            for kind in ChangeKind::ALL {
                if let Ok(after) = state.after(kind) {
                    assert!(after.is_end() && after > state, "{state:?} {kind:?} {after:?}");
                }
            }
        }
        assert!(State::Revoked.after(ChangeKind::Withdraw).is_err());
        assert!(State::Active.after(ChangeKind::Resume).is_err());
    }

    #[test]
    fn expiry_is_a_view_of_the_date() {
        let last: Date = "2026-03-03".parse().unwrap();
        let view = |state, now| view(state, Some(last), now);
        assert_eq!(view(State::Active, last.ends_at().minus(1)), StateView::In(State::Active));
        assert_eq!(view(State::Active, last.ends_at()), StateView::Expired);
        assert_eq!(view(State::Revoked, last.ends_at()), StateView::In(State::Revoked));
    }

    #[test]
    fn names_and_numbers_are_read_back() {
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.name()), Some(kind));
            assert_eq!(ChangeKind::numbered(kind.number()), Some(kind));
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
        }
        for reason in ReasonCode::ALL {
            assert_eq!(ReasonCode::parse(reason.code()), Some(reason));
        }
    }
}
