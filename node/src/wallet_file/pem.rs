use ed25519::pkcs8::{ALGORITHM_OID, KeypairBytes};
use lyceum_protocol::SecretKey;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Salt, ScryptParams};
use pkcs8::{
    EncodePrivateKey as _, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier,
    PrivateKeyInfoRef, SecretDocument,
};
use zeroize::Zeroizing;

use super::Passphrase;

/// What trying one passphrase costs whoever steals the file.
#[derive(Debug, Clone, Copy)]
struct Cost {
    n: u64,
    r: u16,
    p: u16,
}

/// OpenSSL refuses to open a file for which scrypt takes 32 MiB, so that 16 MiB (128·n·r bytes) is the most in powers of two; p makes up for it in
/// time. It counts among the equally strong settings of OWASP's password storage cheat sheet, of which the first is n = 2^17, r = 8, p = 1.
const COST: Cost = Cost {
    n: 1 << 14,
    r: 8,
    p: 5,
};

/// The most memory that opening a file may take, in bytes.
const SCRYPT_BYTES_MAX: u64 = 256 << 20;
/// The most that n·r·p may be, 25 times [`COST`]: some seconds.
const SCRYPT_WORK_MAX: u64 = 1 << 24;
/// The most rounds of PBKDF2: some seconds too. OpenSSL writes 2 048 unless told otherwise.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

const _: () = assert!(128 * COST.n * (COST.r as u64) < 32 << 20);
const _: () = assert!(COST.n * (COST.r as u64) * (COST.p as u64) < SCRYPT_WORK_MAX);

/// How a key is kept in its file.
#[derive(Debug, Clone, Copy)]
pub enum Protection<'a> {
    /// As it is: whoever reads the file has the key.
    Plain,
    /// Encrypted: PBES2 with scrypt and AES-256-CBC.
    Passphrase(&'a Passphrase),
}

/// Writes a key as a PEM file that `openssl pkey` opens.
///
/// # Errors
/// [`KeyFileError::Entropy`] where the system has none for the salt.
pub fn encode_key(
    key: &SecretKey,
    protection: Protection<'_>,
) -> Result<Zeroizing<String>, KeyFileError> {
    encode(key, protection, COST)
}

fn encode(
    key: &SecretKey,
    protection: Protection<'_>,
    cost: Cost,
) -> Result<Zeroizing<String>, KeyFileError> {
    // Version 1, without the public key: OpenSSL does not know version 2.
    let pair = KeypairBytes {
        secret_key: *key.expose_seed(),
        public_key: None,
    };
    let document = pair.to_pkcs8_der().map_err(KeyFileError::Encoding)?;
    let passphrase = match protection {
        Protection::Plain => return to_pem(&document, PrivateKeyInfoRef::PEM_LABEL),
        Protection::Passphrase(passphrase) => passphrase,
    };
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt).map_err(KeyFileError::Entropy)?;
    getrandom::fill(&mut iv).map_err(KeyFileError::Entropy)?;
    let kdf = ScryptParams {
        salt: Salt::new(salt).map_err(|error| KeyFileError::Encoding(error.into()))?,
        cost_parameter: cost.n,
        block_size: cost.r,
        parallelization: cost.p,
        key_length: None,
    };
    let parameters = pbes2::Parameters {
        kdf: Kdf::Scrypt(kdf),
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv },
    };
    let info = PrivateKeyInfoRef::try_from(document.as_bytes());
    let info = info.map_err(KeyFileError::Encoding)?;
    let encrypted = info.encrypt_with_params(parameters, passphrase.as_bytes());
    let encrypted = encrypted.map_err(KeyFileError::Encoding)?;
    to_pem(&encrypted, EncryptedPrivateKeyInfoRef::PEM_LABEL)
}

fn to_pem(
    document: &SecretDocument,
    label: &'static str,
) -> Result<Zeroizing<String>, KeyFileError> {
    let pem = document.to_pem(label, LineEnding::LF);
    pem.map_err(|error| KeyFileError::Encoding(error.into()))
}

/// A key file, read.
#[derive(Debug)]
pub enum KeyFile {
    /// The key stood there as it is.
    Plain(SecretKey),
    /// A passphrase is needed.
    Encrypted(EncryptedKey),
}

impl KeyFile {
    /// Reads a PEM text: PKCS#8, plain or encrypted by PBES2, as this program and OpenSSL write them.
    ///
    /// # Errors
    /// [`KeyFileError`] where it is no such text, or would take too long to open.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let parsed = SecretDocument::from_pem(text);
        let (label, document) = parsed.map_err(|error| match text.trim_end() {
            token if token.starts_with("eyJ") && !token.contains('\n') => KeyFileError::Card,
            _ => KeyFileError::NotPem(error.to_string()),
        })?;
        match label {
            PrivateKeyInfoRef::PEM_LABEL => read_pair(document.as_bytes()).map(Self::Plain),
            EncryptedPrivateKeyInfoRef::PEM_LABEL => {
                let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
                let info = info.map_err(KeyFileError::Encoding)?;
                check_cost(&info.encryption_algorithm)?;
                Ok(Self::Encrypted(EncryptedKey { document }))
            }
            label => Err(KeyFileError::Label(label.to_owned())),
        }
    }
}

/// An encrypted key whose passphrase is not known yet.
#[derive(Debug)]
pub struct EncryptedKey {
    document: SecretDocument,
}

impl EncryptedKey {
    /// Opens it.
    ///
    /// # Errors
    /// [`KeyFileError::WrongPassphrase`]; [`KeyFileError`] where what is inside is no Ed25519 key.
    pub fn open(&self, passphrase: &Passphrase) -> Result<SecretKey, KeyFileError> {
        let info = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes());
        let info = info.map_err(KeyFileError::Encoding)?;
        let opened = info.decrypt(passphrase.as_bytes());
        let opened = opened.map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed)
            | pkcs8::Error::Asn1(_) => KeyFileError::WrongPassphrase,
            error => KeyFileError::Cipher(error),
        })?;
        read_pair(opened.as_bytes()).map_err(|error| match error {
            // By chance the padding may look right; then noise follows.
            KeyFileError::Encoding(_) => KeyFileError::WrongPassphrase,
            error => error,
        })
    }
}

/// Refuses what a hostile file would have us spend on it.
fn check_cost(scheme: &EncryptionScheme) -> Result<(), KeyFileError> {
    let parameters = scheme.pbes2().ok_or(KeyFileError::Scheme)?;
    let is_bearable = match &parameters.kdf {
        Kdf::Scrypt(scrypt) => {
            let r = u64::from(scrypt.block_size);
            let blocks = scrypt.cost_parameter.saturating_mul(r);
            let work = blocks.saturating_mul(u64::from(scrypt.parallelization));
            blocks.saturating_mul(128) <= SCRYPT_BYTES_MAX && work <= SCRYPT_WORK_MAX
        }
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= PBKDF2_ROUNDS_MAX,
        _ => return Err(KeyFileError::Scheme),
    };
    is_bearable.then_some(()).ok_or(KeyFileError::Cost)
}

/// Reads a `PrivateKeyInfo` (version 1) or `OneAsymmetricKey` (version 2) in DER.
fn read_pair(der: &[u8]) -> Result<SecretKey, KeyFileError> {
    let info = PrivateKeyInfoRef::try_from(der);
    let info = info.map_err(KeyFileError::Encoding)?;
    if info.algorithm.oid != ALGORITHM_OID {
        return Err(KeyFileError::Algorithm(info.algorithm.oid));
    }
    let pair = KeypairBytes::try_from(info).map_err(KeyFileError::Encoding)?;
    let key = SecretKey::from_seed(&pair.secret_key);
    match &pair.public_key {
        Some(public) if public.0 != key.public() => Err(KeyFileError::PublicKey),
        _ => Ok(key),
    }
}

/// Why a text is not a key file, or does not open.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not PEM.
    #[error("not a PEM file: {0}")]
    NotPem(String),
    /// An identity card instead.
    #[error("an identity card (a JWT), which holds no private key; give the .pem file")]
    Card,
    /// PEM of another thing.
    #[error("holds a {0:?}, want a PKCS#8 \"PRIVATE KEY\" or \"ENCRYPTED PRIVATE KEY\"")]
    Label(String),
    /// Not PKCS#8.
    #[error("not a PKCS#8 key: {0}")]
    Encoding(pkcs8::Error),
    /// A key of another kind.
    #[error(
        "a key of another kind (algorithm {0}), want Ed25519; `openssl genpkey -algorithm ed25519` makes one"
    )]
    Algorithm(ObjectIdentifier),
    /// The public key in it is not that of the private one.
    #[error("the public key in it does not belong to the private key")]
    PublicKey,
    /// Not PBES2.
    #[error(
        "encrypted by an old scheme, want PBES2; `openssl pkcs8 -topk8 -scrypt -in OLD -out NEW` converts it"
    )]
    Scheme,
    /// Opening it would take too much memory or time.
    #[error(
        "opening it would take too much memory or time: want scrypt within 256 MiB, or PBKDF2 with at most {PBKDF2_ROUNDS_MAX} rounds"
    )]
    Cost,
    /// A cipher or hash that we don't have.
    #[error("{0}; `openssl pkcs8 -topk8 -scrypt -in OLD -out NEW` converts it")]
    Cipher(pkcs8::Error),
    /// Another passphrase, or a changed file.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// The operating system gives no entropy.
    #[error("the operating system gives no entropy: {0}")]
    Entropy(getrandom::Error),
}

impl KeyFileError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotPem(_) => "not_pem",
            Self::Card => "card_for_key",
            Self::Label(_) => "pem_label",
            Self::Encoding(_) => "key_pkcs8",
            Self::Algorithm(_) => "key_algorithm",
            Self::PublicKey => "key_public",
            Self::Scheme => "key_scheme",
            Self::Cost => "key_cost",
            Self::Cipher(_) => "key_cipher",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::Entropy(_) => "entropy",
        }
    }
}

#[cfg(test)]
mod tests;
