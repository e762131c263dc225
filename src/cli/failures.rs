//! The errors of the floors below as failures of a command: their words, their hints, the exit code.

use super::report::Failure;
use crate::catalog::CatalogError;
use crate::keys::RandomError;
use crate::keys::soft::KeyStoreError;
use crate::log::misfit::Misfit;
use crate::pki::authority::AuthorityError;
use crate::pki::trust::TrustError;
use crate::pki::x509::X509Error;
use crate::status;
use crate::store::StoreError;
use crate::store::head_lock::LockError;
use crate::vault::VaultError;
use crate::vault::opening::OpenError;
use crate::vault::restore::RestoreError;
use crate::vault::token::TokenError;

impl From<KeyStoreError> for Failure {
    fn from(error: KeyStoreError) -> Self {
        let failure = match error {
            KeyStoreError::Io { .. } | KeyStoreError::Random => Self::unknown(&error),
            _ => Self::refused(&error),
        };
        failure.maybe_hint(error.hint())
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::refused(&error).maybe_hint(error.hint())
    }
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        Self::refused(error).maybe_hint(error.hint())
    }
}

impl From<X509Error> for Failure {
    fn from(error: X509Error) -> Self {
        Self::refused(error)
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self::refused(error).maybe_hint(error.hint())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::refused(&error).maybe_hint(error.hint())
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let failure = match error {
            RestoreError::Store(_) | RestoreError::Signer => Self::unknown(&error),
            _ => Self::refused(&error),
        };
        failure.maybe_hint(error.hint())
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::refused(&error).maybe_hint(error.hint())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unknown(error).maybe_hint(error.hint())
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::refused(error).maybe_hint(error.hint())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::refused(error).maybe_hint(error.hint())
    }
}

impl From<RandomError> for Failure {
    fn from(error: RandomError) -> Self {
        Self::unknown(error).maybe_hint(error.hint())
    }
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        Self::refused(misfit).maybe_hint(misfit.hint())
    }
}

impl From<status::token::TokenError> for Failure {
    fn from(error: status::token::TokenError) -> Self {
        Self::refused(error).maybe_hint(error.hint())
    }
}
