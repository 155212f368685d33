//! A certificate authority of the laboratory's own, and a certificate for a server of it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

/// The files, in a directory that belongs to the server.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Certificate of the authority: what a client trusts.
    pub authority: PathBuf,
    /// Certificate of the server.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for `localhost` and `address`, and writes them into `directory`.
    pub fn make(directory: &Path, address: IpAddr) -> Result<Self> {
        let authority_key = KeyPair::generate().context("make a key")?;
        let mut authority = CertificateParams::new(Vec::new()).context("parameters of a certificate")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_certificate =
            authority.self_signed(&authority_key).context("sign the authority's certificate")?;
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().context("make a key")?;
        let mut server = CertificateParams::new(vec!["localhost".into()]).context("parameters of a certificate")?;
        server.subject_alt_names.push(SanType::IpAddress(address));
        let certificate = server.signed_by(&key, &issuer).context("sign the server's certificate")?;

        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display())).map(|()| path)
        };
        Ok(Self {
            authority: write("ca.pem", authority_certificate.pem())?,
            certificate: write("server.pem", certificate.pem())?,
            key: write("server.key", key.serialize_pem())?,
        })
    }
}
