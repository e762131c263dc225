//! The verdict of a verification.
//!
//! A [`Verdict`] cannot be built without an answer to every question: who signed,
//! under which chain, with a key valid that day, what the status is, whether the time
//! is right, whether it is bound to this showing, whether the agency may ask. Each
//! answer is a [`Check`] with a stable reason code and words in Chinese and English.

use std::fmt;

use super::time::Date;

/// The answer to every question of a verification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict(Checks);

/// One answer per question; all are needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checks {
    /// Whether the signature covers what was shown.
    pub signature: Check,
    /// Whether the signer's key leads to an anchor we trust, for this issuer and type.
    pub chain: Check,
    /// Whether the key was valid on the day it signed.
    pub key_validity: Check,
    /// What the issuer says of it now.
    pub status: Check,
    /// Whether we are within its dates.
    pub time: Check,
    /// Whether it is bound to this showing.
    pub binding: Check,
    /// Whether the agency may ask for this.
    pub asking: Check,
}

/// The answer to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// The reason, which decides the outcome.
    pub reason: Reason,
    /// Since when, where that helps.
    pub when: Option<Date>,
    /// By whom, where that helps: the name of a department.
    pub by: Option<String>,
}

impl Check {
    /// An answer without particulars.
    pub fn new(reason: Reason) -> Self {
        Self { reason, when: None, by: None }
    }

    /// How the question came out.
    pub fn outcome(&self) -> Outcome {
        self.reason.outcome()
    }

    /// `revoked on 2026-03-03 by the Licensing Office`.
    pub fn en(&self) -> String {
        let mut text = self.reason.en().to_string();
        if let Some(when) = self.when {
            text.push_str(&format!(" on {when}"));
        }
        if let Some(by) = &self.by {
            text.push_str(&format!(" by {by}"));
        }
        text
    }

    /// `2026年3月3日由某局吊销`.
    pub fn zh(&self) -> String {
        let when = self.when.map(Date::chinese_text).unwrap_or_default();
        let by = self.by.as_ref().map(|by| format!("由{by}")).unwrap_or_default();
        format!("{when}{by}{}", self.reason.zh())
    }
}

/// How a question came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It speaks against acceptance.
    Failed,
    /// The question does not arise.
    NotApplicable,
    /// It speaks for acceptance.
    Passed,
    /// It could not be found out.
    Unknown,
}

impl Outcome {
    /// Its name in API and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotApplicable => "not-applicable",
            Self::Passed => "passed",
            Self::Unknown => "unknown",
        }
    }
}

/// The decision over all questions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Every question passed or does not arise.
    Accepted,
    /// A question failed.
    Refused,
    /// None failed, but one could not be answered.
    Undecided,
}

impl Decision {
    /// Its name in API and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }

    /// In Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Accepted => "有效",
            Self::Refused => "不予采信",
            Self::Undecided => "无法判定",
        }
    }
}

impl Verdict {
    /// The verdict over these answers.
    pub fn new(checks: Checks) -> Self {
        Self(checks)
    }

    /// The decision over all questions.
    pub fn decision(&self) -> Decision {
        let outcomes = self.checks().map(|(_, check)| check.outcome());
        if outcomes.contains(&Outcome::Failed) {
            Decision::Refused
        } else if outcomes.contains(&Outcome::Unknown) {
            Decision::Undecided
        } else {
            Decision::Accepted
        }
    }

    /// Every question's name and answer.
    pub fn checks(&self) -> [(&'static str, &Check); 7] {
        let Checks { signature, chain, key_validity, status, time, binding, asking } = &self.0;
        [
            ("signature", signature),
            ("chain", chain),
            ("key_validity", key_validity),
            ("status", status),
            ("time", time),
            ("binding", binding),
            ("asking", asking),
        ]
    }

    /// The answer that decides: the first failed one, else the first unknown one, else the status.
    pub fn deciding(&self) -> &Check {
        let checks = self.checks();
        let first =
            |wanted| checks.iter().find(|(_, check)| check.outcome() == wanted).map(|(_, check)| *check);
        first(Outcome::Failed).or_else(|| first(Outcome::Unknown)).unwrap_or(&self.0.status)
    }
}

/// One line for people: the decision and the answer that decides.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.decision().name(), self.deciding().en())
    }
}

/// Declares the closed catalogue of reasons: variant, outcome, code, Chinese, English.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $outcome:ident $code:literal $zh:literal $en:literal;)*) => {
        /// Why a question came out as it did: the closed catalogue of reason codes.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Stable name for machines. Once released, never reused or renamed.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// In Chinese.
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$name => $zh),* }
            }

            /// In English.
            pub const fn en(self) -> &'static str {
                match self { $(Self::$name => $en),* }
            }

            /// How a question with this reason came out.
            pub const fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome),* }
            }
        }
    };
}

reasons! {
    /// The signature covers what was shown.
    SignatureGood Passed "signature/good" "签名有效" "the signature is good";
    /// The signature does not cover what was shown.
    SignatureBad Failed "signature/bad" "签名无效，内容可能被改动" "the signature is not good: the content may have been altered";
    /// What was shown is not built as it must be.
    SignatureMalformed Failed "signature/malformed" "格式不正确" "not built as it must be";
    /// Not looked at, because an earlier question failed.
    SignatureNotReached NotApplicable "signature/not-reached" "未检查签名" "the signature was not looked at";
    /// The vault's own record: sealed, and verified when it was issued.
    SignatureVault Passed "signature/vault-record" "电子证照库原始记录" "the vault's own sealed record";
    /// The key leads to a trusted anchor and is registered for this issuer and type.
    ChainTrusted Passed "chain/trusted" "颁发机构可信" "the issuer is trusted";
    /// It does not.
    ChainUntrusted Failed "chain/untrusted" "颁发机构不可信" "the issuer is not trusted";
    /// A key for development.
    ChainDevelopment Failed "chain/development" "测试证照，不得采信" "made with keys for development";
    /// The show key was not certified by a show authority we know.
    ChainShowKey Failed "chain/show-key" "亮证密钥不可信" "the show key is not trusted";
    /// Not looked at.
    ChainNotReached NotApplicable "chain/not-reached" "未检查颁发机构" "the issuer was not looked at";
    /// The key was valid on the day it signed.
    KeyValid Passed "key/valid-that-day" "签名时密钥有效" "the key was valid that day";
    /// It was not.
    KeyNotValid Failed "key/not-valid-that-day" "签名时密钥无效" "the key was not valid that day";
    /// It was compromised by then.
    KeyCompromised Failed "key/compromised" "签名密钥已泄露" "the key was compromised";
    /// Not looked at.
    KeyNotReached NotApplicable "key/not-reached" "未检查密钥" "the key was not looked at";
    /// In force.
    StatusActive Passed "status/active" "状态正常" "in force";
    /// Suspended.
    StatusSuspended Failed "status/suspended" "暂停" "suspended";
    /// Replaced by a newer version.
    StatusSuperseded Failed "status/superseded" "换发，请使用新证照" "replaced by a newer version";
    /// Cancelled for the holder.
    StatusCancelled Failed "status/cancelled" "注销" "cancelled";
    /// Withdrawn: it should not have been granted.
    StatusWithdrawn Failed "status/withdrawn" "撤销" "withdrawn";
    /// Revoked as a sanction.
    StatusRevoked Failed "status/revoked" "吊销" "revoked";
    /// Transferred elsewhere.
    StatusTransferred Failed "status/transferred" "转出" "transferred elsewhere";
    /// Ended; the list does not say how.
    StatusEnded Failed "status/ended" "已失效" "ended";
    /// The status known is older than policy allows.
    StatusStale Unknown "status/stale" "状态信息过旧" "the status known is too old";
    /// No status could be found.
    StatusUnknown Unknown "status/unknown" "无法查询状态" "no status could be found";
    /// Not looked at.
    StatusNotReached NotApplicable "status/not-reached" "未检查状态" "the status was not looked at";
    /// Within its dates.
    TimeWithin Passed "time/within" "在有效期内" "within its dates";
    /// Its last day is over.
    TimeExpired Failed "time/expired" "已过有效期" "expired";
    /// Its first day has not come.
    TimeNotYet Failed "time/not-yet" "尚未生效" "not valid yet";
    /// The code shown has lived its time.
    TimeCodeExpired Failed "time/code-expired" "二维码已过期，请刷新" "the code is too old: ask for a fresh one";
    /// Not looked at.
    TimeNotReached NotApplicable "time/not-reached" "未检查有效期" "the dates were not looked at";
    /// Shown by a code that was used once, now.
    BindingOnce Passed "binding/one-time-code" "一次性用证码" "shown by a one-time code";
    /// Shown by a short-lived code signed by the vault.
    BindingShortLived Passed "binding/short-lived-code" "限时离线码" "shown by a short-lived code";
    /// Bound to the holder's key.
    BindingKey Passed "binding/holder-key" "持证主体密钥绑定" "bound to the holder's key";
    /// The binding to the holder's key is wrong.
    BindingKeyBad Failed "binding/holder-key-bad" "持证主体密钥绑定无效" "the binding to the holder's key is not good";
    /// A file: nothing says who shows it.
    BindingNone NotApplicable "binding/none" "未绑定出示人，请核对身份" "not bound to who shows it: check their identity";
    /// Unknown, expired, used, or another agency's.
    BindingRefused Failed "binding/code-refused" "用证码不予受理" "the code is not accepted";
    /// Only what the scenario allows was asked.
    AskingWithin Passed "asking/within-scenario" "用证范围符合场景" "asked within the scenario";
    /// More was asked.
    AskingOver Failed "asking/over-asking" "超出用证场景范围" "more was asked than the scenario allows";
    /// The type is not part of the scenario.
    AskingForeign Failed "asking/foreign-type" "该证照不属于此用证场景" "the scenario does not use this type";
    /// Nobody asked: an offline look.
    AskingNone NotApplicable "asking/none" "离线核验，未涉及用证场景" "no scenario: verified offline";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Checks {
        Checks {
            signature: Check::new(Reason::SignatureGood),
            chain: Check::new(Reason::ChainTrusted),
            key_validity: Check::new(Reason::KeyValid),
            status: Check::new(Reason::StatusActive),
            time: Check::new(Reason::TimeWithin),
            binding: Check::new(Reason::BindingOnce),
            asking: Check::new(Reason::AskingWithin),
        }
    }

    #[test]
    fn one_failure_refuses_and_one_unknown_leaves_it_open() {
        assert_eq!(Verdict::new(checks()).decision(), Decision::Accepted);
        let unknown = Checks { status: Check::new(Reason::StatusStale), ..checks() };
        assert_eq!(Verdict::new(unknown.clone()).decision(), Decision::Undecided);
        let failed = Checks { time: Check::new(Reason::TimeExpired), ..unknown };
        assert_eq!(Verdict::new(failed).decision(), Decision::Refused);
    }

    #[test]
    fn a_clerk_reads_when_and_by_whom() {
        let when = Date::new(2026, 3, 3);
        let status = Check { reason: Reason::StatusRevoked, when, by: Some("重庆市发证局".into()) };
        assert_eq!(status.zh(), "2026年3月3日由重庆市发证局吊销");
        let verdict = Verdict::new(Checks { status, ..checks() });
        assert_eq!(verdict.to_string(), "refused: revoked on 2026-03-03 by 重庆市发证局");
    }

    #[test]
    fn codes_are_unique_and_say_their_outcome_in_words() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| !reason.zh().is_empty() && !reason.en().is_empty()));
    }
}
