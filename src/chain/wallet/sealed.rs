//! Hotkey files under a password, as the bittensor wallet seals them.
//!
//! `$NACL`, a nonce of 24 bytes, then XSalsa20-Poly1305 with its tag in front (NaCl's `secretbox`). The key is Argon2i
//! (RFC 9106, version 19) of the password with a fixed salt, 8 passes, 512 MiB and one lane: what libsodium calls sensitive.

use argon2::{Algorithm, Argon2, Params, Version};
use crypto_secretbox::{
    Key, Nonce, XSalsa20Poly1305,
    aead::{Aead as _, KeyInit as _},
};
use zeroize::Zeroizing;

use super::WalletError;

/// First bytes of a sealed file.
pub(super) const MARK: &[u8] = b"$NACL";
const NONCE_BYTES: usize = 24;
const SALT: [u8; 16] =
    [0x13, 0x71, 0x83, 0xdf, 0xf1, 0x5a, 0x09, 0xbc, 0x9c, 0x90, 0xb5, 0x51, 0x87, 0x39, 0xe9, 0xb1];
const MEMORY_KIB: u32 = 512 << 10;
const PASSES: u32 = 8;
const LANES: u32 = 1;

/// What a sealed file holds. Takes a second or two and 512 MiB: that is what makes guessing dear.
///
/// # Errors
/// When the password is another one, or the file was changed: nobody can tell which.
pub(super) fn open(file: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, WalletError> {
    let sealed = file.strip_prefix(MARK).ok_or(WalletError::WrongPassword)?;
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(WalletError::WrongPassword)?;
    // Invariant: the constants are within Argon2's limits.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(size_of::<Key>())).expect("sound constants");
    let mut key = Zeroizing::new([0; size_of::<Key>()]);
    Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &SALT, &mut *key)
        // Only a password of more than 4 GiB is refused here.
        .map_err(|_| WalletError::WrongPassword)?;
    let opened = XSalsa20Poly1305::new(Key::from_slice(&*key)).decrypt(Nonce::from_slice(nonce), sealed);
    opened.map(Zeroizing::new).map_err(|_| WalletError::WrongPassword)
}
