//! A certificate authority of the laboratory, and a certificate for one of its servers.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

use crate::failure::OrFail as _;

/// The PEM files, in a directory that belongs to the server.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Certificate of the authority, which clients trust.
    pub authority: PathBuf,
    /// Certificate of the server.
    pub certificate: PathBuf,
    /// Private key of the server.
    pub key: PathBuf,
}

impl Certificates {
    /// Generates an authority and a certificate for `localhost` and `address`, and writes them into `directory`.
    ///
    /// # Panics
    ///
    /// Panics if a certificate cannot be created or written.
    #[track_caller]
    pub fn generate(directory: &Path, address: IpAddr) -> Self {
        try_generate(directory, address).or_fail(format_args!("cannot create certificates in {}", directory.display()))
    }
}

fn try_generate(directory: &Path, address: IpAddr) -> Result<Certificates> {
    let authority_key = KeyPair::generate().context("generate the authority's key")?;
    let mut authority = CertificateParams::new(Vec::new()).context("set the parameters of the authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).context("sign the authority's certificate")?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().context("generate the server's key")?;
    let mut server = CertificateParams::new(vec!["localhost".into()]).context("set the parameters of the server")?;
    server.subject_alt_names.push(SanType::IpAddress(address));
    let certificate = server.signed_by(&key, &issuer).context("sign the server's certificate")?;

    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display())).map(|()| path)
    };
    Ok(Certificates {
        authority: write("ca.pem", authority_certificate.pem())?,
        certificate: write("server.pem", certificate.pem())?,
        key: write("server.key", key.serialize_pem())?,
    })
}
