//! Where a server is and how to speak to it: the connection string of Spark Connect.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;

const DEFAULT_PORT: u16 = 15_002;

/// A connection string, taken apart: `sc://HOST[:PORT][/;NAME=VALUE;…]`.
///
/// | parameter | what it says |
/// |---|---|
/// | `token` | sent as `authorization: Bearer …`; asks for TLS unless the host is this machine |
/// | `use_ssl` | `true` or `false` |
/// | `user_id` | whose session it is; a server keeps sessions by user and id |
/// | `user_agent` | how the client calls itself |
/// | `session_id` | a UUID; the next session of this endpoint gets it instead of a new one |
/// | others | sent as headers of each call |
///
/// Values are percent-decoded. What is shown of an endpoint never holds the token or the headers' values.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
    token: Option<String>,
    user_id: Option<String>,
    user_agent: Option<String>,
    session_id: Option<Uuid>,
    headers: Vec<(String, String)>,
}

/// What is wrong with a connection string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is for something else.
    #[error("a connection string begins with `sc://`, as `sc://host:15002`")]
    Scheme,
    /// There is no host, or one that cannot be.
    #[error("`{host}` is no host: write `sc://host:15002`, and an address of IPv6 in brackets")]
    Host {
        /// What stands in its place.
        host: String,
    },
    /// No port.
    #[error("`{port}` is no port: write a number from 1 to 65535")]
    Port {
        /// What stands in its place.
        port: String,
    },
    /// Something between host and parameters.
    #[error("only parameters may follow host and port: write `sc://host:15002/;name=value;…`")]
    Path,
    /// Not `name=value`.
    #[error("the parameter number {number} is not of the form `name=value`")]
    Parameter {
        /// Which one, from 1. Its text is not told: it could be a secret.
        number: usize,
    },
    /// A value that the parameter cannot have.
    #[error("the value of `{name}` must be {allowed}")]
    Value {
        /// The parameter.
        name: String,
        /// What it can have.
        allowed: &'static str,
    },
    /// A parameter twice.
    #[error("`{name}` is given twice")]
    Twice {
        /// The parameter.
        name: String,
    },
    /// A secret in plain text over the network.
    #[error("`use_ssl=false` would send the token in plain text to `{host}`: leave it out, or write `use_ssl=true`")]
    OpenToken {
        /// Where to.
        host: String,
    },
}

impl Endpoint {
    /// Takes a connection string apart.
    ///
    /// # Errors
    /// When it cannot be understood, or would send a token in plain text to another machine.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let rest = text.trim().strip_prefix("sc://").ok_or(EndpointError::Scheme)?;
        let (address, parameters) = match rest.split_once('/') {
            None => (rest, ""),
            Some((address, "")) => (address, ""),
            Some((address, parameters)) => (address, parameters.strip_prefix(';').ok_or(EndpointError::Path)?),
        };
        let (host, port) = host_and_port(address)?;
        let mut use_ssl = None;
        let mut endpoint = Self {
            host,
            port,
            tls: false,
            token: None,
            user_id: None,
            user_agent: None,
            session_id: None,
            headers: Vec::new(),
        };
        let mut seen = Vec::new();
        for (index, parameter) in parameters.split(';').enumerate().filter(|(_, parameter)| !parameter.is_empty()) {
            let broken = EndpointError::Parameter { number: index + 1 };
            let (name, value) = parameter.split_once('=').ok_or_else(|| broken.clone())?;
            let value = decode(value).filter(|value| !name.is_empty() && !value.is_empty()).ok_or(broken)?;
            if seen.contains(&name) {
                return Err(EndpointError::Twice { name: name.to_owned() });
            }
            seen.push(name);
            endpoint.take(name, value, &mut use_ssl)?;
        }
        endpoint.tls = use_ssl.unwrap_or(endpoint.token.is_some() && !endpoint.is_this_machine());
        if endpoint.token.is_some() && !endpoint.tls && !endpoint.is_this_machine() {
            return Err(EndpointError::OpenToken { host: endpoint.host });
        }
        Ok(endpoint)
    }

    /// Name or address of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    pub(crate) fn session_id(&self) -> Option<Uuid> {
        self.session_id
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn is_this_machine(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn take(&mut self, name: &str, value: String, use_ssl: &mut Option<bool>) -> Result<(), EndpointError> {
        let wrong = |allowed| EndpointError::Value { name: name.to_owned(), allowed };
        match name {
            "token" if !is_header_value(&value) => return Err(wrong("plain ASCII without line breaks")),
            "token" => self.token = Some(value),
            "use_ssl" if value.eq_ignore_ascii_case("true") => *use_ssl = Some(true),
            "use_ssl" if value.eq_ignore_ascii_case("false") => *use_ssl = Some(false),
            "use_ssl" => return Err(wrong("`true` or `false`")),
            "user_id" => self.user_id = Some(value),
            "user_agent" => self.user_agent = Some(value),
            "session_id" => self.session_id = Some(Uuid::try_parse(&value).map_err(|_| wrong("a UUID"))?),
            // Settings of the official clients' channels, which are options here.
            _ if name.starts_with("grpc_keepalive_") => {}
            _ => {
                let name = name.to_ascii_lowercase();
                let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
                if !fits || name.starts_with("grpc-") || name.ends_with("-bin") || name == "authorization" {
                    return Err(wrong("sent as a header, and a header cannot have this name"));
                }
                if !is_header_value(&value) {
                    return Err(wrong("plain ASCII without line breaks"));
                }
                self.headers.push((name, value));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sc://{}", self.authority())?;
        let mut separator = "/;";
        if self.tls {
            write!(formatter, "{separator}use_ssl=true")?;
            separator = ";";
        }
        if self.token.is_some() {
            write!(formatter, "{separator}token=***")?;
            separator = ";";
        }
        if let Some(user_id) = &self.user_id {
            write!(formatter, "{separator}user_id={user_id}")?;
            separator = ";";
        }
        for (name, _) in &self.headers {
            write!(formatter, "{separator}{name}=***")?;
            separator = ";";
        }
        Ok(())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Endpoint({self})")
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

fn host_and_port(address: &str) -> Result<(String, u16), EndpointError> {
    let wrong_host = || EndpointError::Host { host: address.to_owned() };
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong_host)?;
        let host = host.parse::<Ipv6Addr>().map_err(|_| wrong_host())?.to_string();
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong_host)?) })
    } else {
        let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            // `;` here is a parameter without `/`, `@` a name with a password: neither is told.
            let host = host.split(['@', ';']).next_back().filter(|_| !host.contains([';', '@'])).unwrap_or("…");
            return Err(EndpointError::Host { host: host.to_owned() });
        }
        (host.to_owned(), port)
    };
    let Some(port) = port else { return Ok((host, DEFAULT_PORT)) };
    match port.parse() {
        Ok(0) | Err(_) => {
            let port = if port.len() > 8 || port.contains([';', '@']) { "…" } else { port };
            Err(EndpointError::Port { port: port.to_owned() })
        }
        Ok(port) => Ok((host, port)),
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Endpoint::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn host_port_and_parameters_are_read() {
        let endpoint =
            Endpoint::parse("sc://spark.example:443/;use_ssl=true;token=a%20b==;user_id=me;x-team=one").unwrap();
        assert_eq!((endpoint.host(), endpoint.port(), endpoint.tls()), ("spark.example", 443, true));
        assert_eq!((endpoint.token(), endpoint.user_id()), (Some("a b=="), Some("me")));
        assert_eq!(endpoint.headers(), [("x-team".to_owned(), "one".to_owned())]);
        assert_eq!(endpoint.url(), "https://spark.example:443");
    }

    #[test]
    fn the_port_has_a_default_and_addresses_may_be_of_ipv6() {
        for text in ["sc://host", "sc://host/", "sc://host/;"] {
            assert_eq!(Endpoint::parse(text).unwrap().url(), "http://host:15002");
        }
        assert_eq!(Endpoint::parse("sc://[::1]:15003").unwrap().url(), "http://[::1]:15003");
    }

    #[test]
    fn a_token_never_goes_over_the_network_in_plain_text() {
        assert!(Endpoint::parse("sc://host/;token=secret").unwrap().tls());
        for local in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(!Endpoint::parse(&format!("sc://{local}/;token=secret")).unwrap().tls());
        }
        assert!(wrong("sc://host/;token=secret;use_ssl=false").contains("plain text to `host`"));
    }

    #[test]
    fn what_is_shown_holds_no_secrets() {
        let endpoint = Endpoint::parse("sc://host/;token=secret;x-key=secret;user_id=me").unwrap();
        assert_eq!(endpoint.to_string(), "sc://host:15002/;use_ssl=true;token=***;user_id=me;x-key=***");
        assert!(!format!("{endpoint:?}").contains("secret"));
        for text in [
            "sc://host;token=secret",
            "sc://me:secret@host",
            "sc://host/secret",
            "sc://host/;secret",
            "sc://host/;token=secret%0a",
            "sc://host/;token=secret%zz",
            "sc://host:secretsecret",
            "secret",
        ] {
            assert!(!wrong(text).contains("secret"), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(wrong("http://host").contains("sc://"));
        assert!(wrong("sc://").contains("is no host"));
        assert!(wrong("sc://host:0").contains("`0` is no port"));
        assert!(wrong("sc://host/path").contains("only parameters"));
        assert!(wrong("sc://host/;use_ssl=yes").contains("`use_ssl` must be `true` or `false`"));
        assert!(wrong("sc://host/;session_id=7").contains("a UUID"));
        assert!(wrong("sc://host/;user_id=a;user_id=b").contains("`user_id` is given twice"));
        assert!(wrong("sc://host/;a=1;b").contains("parameter number 2"));
        assert!(wrong("sc://host/;authorization=x").contains("`authorization`"));
    }
}
