//! [`Mfa`]: an MFA device, and where its codes come from.

use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use token_cache_core::BoxError;

#[derive(Clone)]
pub(super) struct Mfa {
    pub(super) serial: String,
    code: Arc<Code>,
}

type Code = dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>> + Send + Sync;

impl Mfa {
    pub(super) fn new<F, Fut>(serial: String, code: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self { serial, code: Arc::new(move || Box::pin(code())) }
    }

    pub(super) async fn code(&self) -> Result<String, BoxError> {
        (self.code)().await
    }

    fn key(&self) -> (&str, *const ()) {
        (&self.serial, Arc::as_ptr(&self.code).cast())
    }
}

// Functions cannot be compared, so two devices are equal if one is a clone of the other.
impl PartialEq for Mfa {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Mfa {}

impl Hash for Mfa {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}
