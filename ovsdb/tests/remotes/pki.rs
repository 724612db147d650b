//! Certificates of a CA of our own.
use std::path::{Path, PathBuf};

use aorta_ovsdb::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// A CA in a directory of its own.
pub struct Ca {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self::until(name, 2100)
    }

    /// A CA whose certificate ends with a year.
    pub fn until(name: &str, year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("cacert.pem"), certificate.pem()).unwrap();
        Self {
            directory,
            issuer: Issuer::new(params, key),
        }
    }

    /// Key and certificate of the CA itself, and what to trust; such pairs are made by
    /// `openssl req -x509`.
    pub fn own_files(&self, trust: &Path) -> TlsFiles {
        let key = self.path("cakey.pem");
        std::fs::write(&key, self.issuer.key().serialize_pem()).unwrap();
        TlsFiles {
            private_key: Some(key),
            certificate: Some(self.certificate()),
            ca_cert: Some(trust.to_owned()),
            ..TlsFiles::default()
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub fn certificate(&self) -> PathBuf {
        self.path("cacert.pem")
    }

    /// Key and certificate of somebody, trusting this CA.
    pub fn files(&self, name: &str) -> TlsFiles {
        self.files_until(name, 2100)
    }

    /// The same with a certificate that ends with a year.
    pub fn files_until(&self, name: &str, year: i32) -> TlsFiles {
        let (key, certificate) = (format!("{name}-privkey.pem"), format!("{name}-cert.pem"));
        let (key, certificate) = (self.path(&key), self.path(&certificate));
        self.sign(name, year, &key, &certificate);
        TlsFiles {
            private_key: Some(key),
            certificate: Some(certificate),
            ca_cert: Some(self.certificate()),
            ..TlsFiles::default()
        }
    }

    /// Writes a new key and certificate.
    pub fn sign(&self, name: &str, year: i32, key_file: &Path, certificate_file: &Path) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(key_file, key.serialize_pem()).unwrap();
        std::fs::write(certificate_file, certificate.pem()).unwrap();
    }
}
