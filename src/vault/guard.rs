//! Who may do what: the whole table.
//!
//! Every verb of the vault begins with [`admit`]. What [`RULES`] does not allow is
//! refused; there is no other place where a role is looked at. What depends on the
//! object (is it this department's certificate, this holder's showing) is asked by
//! the verb itself, after the guard, and answers as if the object were absent.

use std::fmt;

use crate::domain::uscc::Uscc;

/// The parts that callers play. A caller plays one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// 审计员: reads the record, changes nothing.
    Auditor,
    /// 审计管理员: looks after the record's keeping.
    AuditAdministrator,
    /// 窗口人员 or the system of an agency: verifies.
    Clerk,
    /// 持证主体: carries and shows.
    Holder,
    /// 经办人 of an issuing department: issues and changes.
    Officer,
    /// 安全管理员: registers callers, rotates keys.
    SecurityAdministrator,
    /// 系统管理员: runs the service.
    SystemAdministrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Auditor,
        Self::AuditAdministrator,
        Self::Clerk,
        Self::Holder,
        Self::Officer,
        Self::SecurityAdministrator,
        Self::SystemAdministrator,
    ];

    /// Its name in tokens and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::AuditAdministrator => "audit-administrator",
            Self::Clerk => "clerk",
            Self::Holder => "holder",
            Self::Officer => "officer",
            Self::SecurityAdministrator => "security-administrator",
            Self::SystemAdministrator => "system-administrator",
        }
    }

    /// The role with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Read the list of revocations and events.
    Audit,
    /// Copy the vault.
    Backup,
    /// Suspend, resume, replace, cancel, withdraw, revoke, transfer.
    Change,
    /// Issue certificates.
    Issue,
    /// Read a certificate that one's department issued.
    ReadIssued,
    /// Register callers, look at registrations and withdraw their rights.
    Register,
    /// Show certificates by code.
    Show,
    /// Verify what is shown.
    Verify,
    /// See one's certificates and who looked.
    Wallet,
}

/// The whole table: a verb and who may do it. Nothing else is allowed.
pub const RULES: &[(Verb, &[Role])] = &[
    (Verb::Audit, &[Role::Auditor]),
    (Verb::Backup, &[Role::SystemAdministrator]),
    (Verb::Change, &[Role::Officer]),
    (Verb::Issue, &[Role::Officer]),
    (Verb::ReadIssued, &[Role::Officer]),
    (Verb::Register, &[Role::SecurityAdministrator]),
    (Verb::Show, &[Role::Holder]),
    (Verb::Verify, &[Role::Clerk]),
    (Verb::Wallet, &[Role::Holder]),
];

/// Somebody who was authenticated, and the one part they play now.
#[derive(Clone, Eq, PartialEq)]
pub struct Caller {
    /// Opaque name of the registration or account; no personal data.
    pub id: String,
    /// The part they play.
    pub role: Role,
    /// The organisation they act for: department or agency.
    pub organisation: Option<Uscc>,
    /// Holders: the keyed hash of the code by which the platform knows them.
    pub holder: Option<[u8; 32]>,
}

/// The registration's name and role: nothing personal.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({} {})", self.role.name(), self.id)
    }
}

/// The caller may not do this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this caller may not do this")
    }
}

/// Lets the caller do this, or not.
///
/// # Errors
/// [`Forbidden`] unless [`RULES`] lists the caller's role beside the verb.
pub fn admit(caller: &Caller, verb: Verb) -> Result<(), Forbidden> {
    let allowed = RULES.iter().any(|(rule, roles)| *rule == verb && roles.contains(&caller.role));
    if allowed { Ok(()) } else { Err(Forbidden) }
}

/// The department that an officer acts for.
///
/// # Errors
/// [`Forbidden`] when the caller acts for none.
pub fn organisation(caller: &Caller) -> Result<Uscc, Forbidden> {
    caller.organisation.ok_or(Forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_administrator_touches_certificates() {
        for role in [Role::SystemAdministrator, Role::SecurityAdministrator, Role::AuditAdministrator] {
            let caller = Caller { id: "a".into(), role, organisation: None, holder: None };
            for verb in [Verb::Issue, Verb::Change, Verb::Show, Verb::Verify, Verb::Wallet, Verb::ReadIssued]
            {
                assert_eq!(admit(&caller, verb), Err(Forbidden), "{role:?} {verb:?}");
            }
        }
    }

    #[test]
    fn who_runs_the_service_copies_it_and_nobody_else() {
        for role in Role::ALL {
            let caller = Caller { id: "a".into(), role, organisation: None, holder: None };
            assert_eq!(admit(&caller, Verb::Backup).is_ok(), role == Role::SystemAdministrator, "{role:?}");
        }
    }

    #[test]
    fn names_of_roles_are_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
    }
}
