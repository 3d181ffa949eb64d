//! The hotkey that signs, from where the configuration says.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use zeroize::Zeroizing;

use super::exit::{Exit, Failure};
use crate::{
    chain::wallet::{HotkeySigner, WalletError},
    config::Config,
};

/// Reads the signing hotkey; `None` where none is named. The password of a sealed one comes from the configuration, else from whoever
/// sits at the terminal.
///
/// # Errors
/// When the file cannot be read or is no hotkey, or the password is missing or wrong.
pub(super) fn signer(config: &Config) -> Result<Option<HotkeySigner>, Failure> {
    let refused = |cause: WalletError| Failure::new(Exit::Unreadable, cause);
    let path = config.hotkey_path().map_err(|problem| Failure::new(Exit::Usage, anyhow!(problem)))?;
    let Some(path) = path else { return Ok(None) };
    let password = || match &config.wallet.password {
        Some(password) => Some(Zeroizing::new(password.expose().to_owned())),
        None if std::io::stdin().is_terminal() => {
            let asked = rpassword::prompt_password(format!("Password of {}: ", path.display()));
            asked.ok().map(Zeroizing::new)
        }
        None => None,
    };
    HotkeySigner::read_file_with(&path, password).map(Some).map_err(refused)
}
