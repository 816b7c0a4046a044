//! Where the database is, and how to get in.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// `postgres://user:password@host:port/database?option=value`, as PostgreSQL's own programs take it. The password is
/// never shown.
///
/// Of the options that speak of TLS, `sslmode` is `disable`, `require` or `verify-full`. The last two mean the same
/// here: the server's certificate and its name are verified, by the authorities in the file `sslrootcert`. Without
/// `sslmode`, a database on this machine is spoken to plain and any other by TLS. `sslcert` and `sslkey` name the files
/// of a client certificate.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) config: Box<Config>,
    pub(super) security: Security,
}

/// How a connection is kept from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls(TlsFiles),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// PEM, what the server's certificate is verified by.
    pub(super) roots: PathBuf,
    /// PEM, certificate chain and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// Why a URL does not do. Never holds a part of the URL, since any part of a malformed one may be the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("a database is named by a URL that begins with postgres://")]
    Scheme,
    #[error(
        "the database URL cannot be read; octets of the password other than letters and digits are written as %40"
    )]
    Malformed,
    #[error("the database URL names no host")]
    NoHost,
    #[error("the database URL names no database")]
    NoDatabase,
    #[error(
        "the database URL has an option that is not known here, or twice, or with a value that is not understood"
    )]
    Option,
    #[error(
        "sslmode is disable, require or verify-full: what may fall back to plain, or does not verify the name, is not offered"
    )]
    Mode,
    #[error(
        "a database on another machine is spoken to by TLS: name the file of its authorities with sslrootcert"
    )]
    NoRoots,
    #[error("sslcert and sslkey belong together")]
    HalfIdentity,
}

/// The TLS options as they were written; all others are the driver's.
#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlError::Scheme);
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (options, rest) = split_options(query)?;
        let driver_url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") };
        let error = if rest.is_empty() { UrlError::Malformed } else { UrlError::Option };
        let mut config: Config = driver_url.parse().map_err(|_| error)?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::NoHost);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(UrlError::NoDatabase);
        }
        let security = security(options, is_local(&config))?;
        config.ssl_mode(match security {
            Security::Plain => SslMode::Disable,
            Security::Tls(_) => SslMode::Require,
        });
        Ok(Self { config: Box::new(config), security })
    }
}

impl DatabaseUrl {
    /// Whether passwords and rows could be read on the way to another machine.
    pub(super) fn is_exposed(&self) -> bool {
        self.security == Security::Plain && !is_local(&self.config)
    }
}

/// The place without the way in.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.config.get_ports();
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if number == 0 { "" } else { "," };
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{separator}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.to_string()).finish()
    }
}

fn split_options(query: &str) -> Result<(TlsOptions, String), UrlError> {
    let (mut options, mut rest, mut seen) = (TlsOptions::default(), Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(UrlError::Option)?;
        if seen.contains(&name) {
            return Err(UrlError::Option);
        }
        seen.push(name);
        let value = percent_decode_str(value).decode_utf8().map_err(|_| UrlError::Option)?;
        match name {
            "sslmode" => options.mode = Some(value.into_owned()),
            "sslrootcert" => options.roots = Some(value.into_owned().into()),
            "sslcert" => options.certificate = Some(value.into_owned().into()),
            "sslkey" => options.key = Some(value.into_owned().into()),
            _ => rest.push(pair),
        }
    }
    Ok((options, rest.join("&")))
}

fn security(options: TlsOptions, local: bool) -> Result<Security, UrlError> {
    let encrypt = match options.mode.as_deref() {
        None => !local || options.roots.is_some(),
        Some("disable") => false,
        Some("require" | "verify-full") => true,
        Some(_) => return Err(UrlError::Mode),
    };
    if !encrypt {
        return Ok(Security::Plain);
    }
    let identity = match (options.certificate, options.key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(UrlError::HalfIdentity),
    };
    Ok(Security::Tls(TlsFiles { roots: options.roots.ok_or(UrlError::NoRoots)?, identity }))
}

/// Whether every host is this machine.
fn is_local(config: &Config) -> bool {
    let local_name =
        |name: &str| name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let hosts_local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => local_name(name),
        Host::Unix(_) => true,
    });
    // An address given beside the name is where the connection really goes.
    hosts_local && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<DatabaseUrl, UrlError> {
        url.parse()
    }

    fn tls(roots: &str) -> Security {
        Security::Tls(TlsFiles { roots: roots.into(), identity: None })
    }

    #[test]
    fn urls_that_would_be_unsafe_or_are_no_urls_are_refused() {
        let refused = [
            ("", UrlError::Scheme),
            ("host=db password=hunter2", UrlError::Scheme),
            ("mysql://db/x", UrlError::Scheme),
            ("postgres://", UrlError::NoHost),
            ("postgres://u@/x", UrlError::NoHost),
            ("postgres://u@db", UrlError::NoDatabase),
            ("postgres://u@db:port/x", UrlError::Malformed),
            ("postgres://u@db/x?nonsense", UrlError::Option),
            ("postgres://u@db/x?sslmode=disable&unknown=1", UrlError::Option),
            ("postgres://u@db/x?sslmode=disable&sslmode=disable", UrlError::Option),
            ("postgres://u@db/x?sslmode=prefer", UrlError::Mode),
            ("postgres://u@db/x?sslmode=allow", UrlError::Mode),
            ("postgres://u@db/x?sslmode=verify-ca&sslrootcert=/ca", UrlError::Mode),
            ("postgres://u@localhost/x?sslmode=prefer", UrlError::Mode),
            ("postgres://u@db/x", UrlError::NoRoots),
            ("postgres://u@db/x?sslmode=require", UrlError::NoRoots),
            ("postgres://u@localhost,db/x", UrlError::NoRoots),
            ("postgres://u@localhost/x?hostaddr=192.0.2.1", UrlError::NoRoots),
            ("postgres://u@db/x?sslrootcert=/ca&sslcert=/c", UrlError::HalfIdentity),
            ("postgres://u@db/x?sslrootcert=/ca&sslkey=/k", UrlError::HalfIdentity),
        ];
        for (url, expected) in refused {
            assert_eq!(parse(url).err(), Some(expected), "{url}");
        }
    }

    #[test]
    fn tls_is_the_rule_and_plain_the_exception() {
        let cases = [
            ("postgres://u@db/x?sslrootcert=/etc/ca%20s.pem", tls("/etc/ca s.pem"), false),
            ("postgres://u@db/x?sslmode=require&sslrootcert=/ca", tls("/ca"), false),
            ("postgresql://u@192.0.2.1/x?sslmode=verify-full&sslrootcert=/ca", tls("/ca"), false),
            ("postgres://u@localhost/x?sslrootcert=/ca", tls("/ca"), false),
            ("postgres://u@localhost/x", Security::Plain, false),
            ("postgres://u@127.0.0.1:1/x", Security::Plain, false),
            ("postgres://u@[::1]/x", Security::Plain, false),
            ("postgres://u@%2Frun%2Fpostgresql/x", Security::Plain, false),
            ("postgres://u@db/x?sslmode=disable", Security::Plain, true),
        ];
        for (url, security, exposed) in cases {
            let parsed = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            let mode = if security == Security::Plain { SslMode::Disable } else { SslMode::Require };
            assert_eq!(parsed.config.get_ssl_mode(), mode, "{url}");
            assert_eq!((&parsed.security, parsed.is_exposed()), (&security, exposed), "{url}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = parse("postgres://ann:hunter%402@db:5433,other/x?sslmode=disable").unwrap();
        assert_eq!(url.config.get_password(), Some(&b"hunter@2"[..]));
        assert_eq!(url.to_string(), "postgres://ann@db:5433,other:5432/x");
        assert!(!format!("{url:?} {:?}", url.config).contains("hunter"));
        // A password whose octets were not escaped, wherever that leads the parser.
        for url in
            ["postgres://u:hun?ter=2@db/x", "postgres://u:hunter/2@db/x", "postgres://u:hunter#2@db/x?q"]
        {
            if let Err(error) = parse(url) {
                assert!(!format!("{error} {error:?}").contains("ter"), "{error}");
            }
        }
    }
}
