//! [`IdentitySpec`]: which AWS identity to act as.

use crate::role::AssumeRole;

/// Which AWS identity to act as: that of the environment, of a profile or of an [inserted](crate::Registry::insert)
/// cache, followed by any number of roles. Each role is assumed with the credentials of the one before it.
///
/// ```
/// use token_cache_aws::{AssumeRole, IdentitySpec};
///
/// let tenant = IdentitySpec::profile("hub").assume_role(AssumeRole::new("arn:aws:iam::222222222222:role/tenant-7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentitySpec {
    pub(crate) base: Base,
    pub(crate) roles: Vec<AssumeRole>,
}

/// Whose credentials the first role is assumed with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Base {
    Environment,
    Profile(String),
    /// A cache that was inserted into the registry under this name.
    Inserted(String),
}

impl IdentitySpec {
    /// The identity that the SDK's default chain finds, as in
    /// [`AwsTokenCache::from_env`](crate::AwsTokenCache::from_env).
    ///
    /// ```
    /// # use token_cache_aws::IdentitySpec;
    /// let identity = IdentitySpec::from_env();
    /// ```
    #[must_use]
    pub const fn from_env() -> Self {
        Self::of(Base::Environment)
    }

    /// The identity of a profile, as in [`AwsTokenCache::from_profile`](crate::AwsTokenCache::from_profile).
    ///
    /// ```
    /// # use token_cache_aws::IdentitySpec;
    /// let identity = IdentitySpec::profile("hub");
    /// ```
    #[must_use]
    pub fn profile(name: impl Into<String>) -> Self {
        Self::of(Base::Profile(name.into()))
    }

    pub(crate) const fn of(base: Base) -> Self {
        Self { base, roles: Vec::new() }
    }

    /// Adds a role, which this identity assumes, as in
    /// [`AwsTokenCache::assume_role`](crate::AwsTokenCache::assume_role).
    ///
    /// ```
    /// # use token_cache_aws::{AssumeRole, IdentitySpec};
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// let identity = IdentitySpec::profile("hub").assume_role(role);
    /// ```
    #[must_use]
    pub fn assume_role(mut self, role: AssumeRole) -> Self {
        self.roles.push(role);
        self
    }

    /// The last role, and the identity that assumes it. `None` if there is no role.
    pub(crate) fn split_last_role(&self) -> Option<(Self, &AssumeRole)> {
        let (last, roles) = self.roles.split_last()?;
        Some((Self { base: self.base.clone(), roles: roles.to_vec() }, last))
    }
}
