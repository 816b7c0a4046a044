//! The PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>): a load balancer that passes TLS through says from whom
//! a connection is, in a header before the first octet of the connection itself.
//!
//! Whoever may send a header may claim any address. So it is believed from trusted networks alone, and where it is asked for,
//! connections from elsewhere, and those without one, are closed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Whose headers are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    pub trusted: Vec<IpNet>,
}

/// Why a connection is closed before it begins.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the connection is from {0}, whose headers are not believed")]
    Untrusted(IpAddr),
    #[error("the connection does not begin with a header of the PROXY protocol")]
    NoHeader,
    #[error("the header of the PROXY protocol is malformed: {0}")]
    Malformed(&'static str),
    #[error("the header of the PROXY protocol is longer than {0} octets")]
    TooLong(usize),
    #[error("the connection ended within the header of the PROXY protocol")]
    Io(#[from] io::Error),
}

impl ProxyProtocol {
    /// Reads the header, and not an octet more. Returns who the connection is from: `socket` itself where the load balancer
    /// speaks for itself (a health check).
    ///
    /// # Errors
    /// See [`ProxyError`]; nothing may be answered then.
    pub async fn read<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        socket: SocketAddr,
    ) -> Result<SocketAddr, ProxyError> {
        let from = socket.ip().to_canonical();
        if !self.trusted.iter().any(|network| network.contains(&from)) {
            return Err(ProxyError::Untrusted(from));
        }
        // Shorter than the shortest header of either version.
        let mut start = [0; 12];
        stream.read_exact(&mut start).await?;
        let stated = if start == SIGNATURE {
            version_2(stream).await?
        } else if start.starts_with(b"PROXY ") {
            version_1(stream, &start).await?
        } else {
            return Err(ProxyError::NoHeader);
        };
        Ok(stated.unwrap_or(socket))
    }
}

/// §2.2: no byte sequence of a protocol that could stand here.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// §2.1: the longest line, with its end.
const LONGEST_LINE: usize = 107;

/// What a header of version 2 may hold after its fixed part. §2.2.1 asks for 536 at least; the rest is for extensions.
const LONGEST_BODY: usize = 4096;

/// §2.1. `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`
async fn version_1<S: AsyncRead + Unpin>(
    stream: &mut S,
    start: &[u8; 12],
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut line = start.to_vec();
    // Octet by octet, because what follows belongs to TLS.
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(ProxyError::TooLong(LONGEST_LINE));
        }
        line.push(stream.read_u8().await?);
    }
    let malformed = ProxyError::Malformed;
    let text = std::str::from_utf8(&line).map_err(|_| malformed("not ASCII"))?;
    let text = text.strip_suffix("\r\n").ok_or(malformed("no end of line"))?;
    let mut words = text.split(' ').skip(1);
    let mut word = || words.next().ok_or(malformed("a word is missing"));
    let family = word()?;
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Ok(None);
    }
    let (source, destination) = (word()?, word()?);
    let (port, destination_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(malformed("a word too many"));
    }
    let address = |text: &str| -> Result<IpAddr, ProxyError> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| malformed("no IPv4 address")),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| malformed("no IPv6 address")),
            _ => Err(malformed("neither TCP4, TCP6 nor UNKNOWN")),
        }
    };
    let (source, _) = (address(source)?, address(destination)?);
    let (port, _) = (self::port(port)?, self::port(destination_port)?);
    Ok(Some(SocketAddr::new(source, port)))
}

/// Decimal, without leading zeros or sign.
fn port(text: &str) -> Result<u16, ProxyError> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let parsed = if canonical { text.parse().ok() } else { None };
    parsed.ok_or(ProxyError::Malformed("no port"))
}

/// §2.2, after the signature.
async fn version_2<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    let (version_and_command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_BODY {
        return Err(ProxyError::TooLong(LONGEST_BODY));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match (version_and_command, family) {
        // LOCAL: the load balancer for itself; PROXY of a family that it cannot say.
        (0x20, _) | (0x21, 0x00) => Ok(None),
        (0x21, 0x11) => {
            let (address, rest) = body.split_first_chunk::<4>().ok_or(SHORT)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::from(*address).into(), source_port::<4>(rest)?)))
        }
        (0x21, 0x21) => {
            let (address, rest) = body.split_first_chunk::<16>().ok_or(SHORT)?;
            Ok(Some(SocketAddr::new(Ipv6Addr::from(*address).into(), source_port::<16>(rest)?)))
        }
        (0x21, _) => Err(ProxyError::Malformed("neither TCP over IPv4 nor over IPv6")),
        (_, _) => Err(ProxyError::Malformed("neither LOCAL nor PROXY of version 2")),
    }
}

const SHORT: ProxyError = ProxyError::Malformed("the addresses are cut short");

/// What follows the source address: the destination's, then both ports. Extensions after them are skipped.
fn source_port<const ADDRESS: usize>(rest: &[u8]) -> Result<u16, ProxyError> {
    let (_, ports) = rest.split_first_chunk::<ADDRESS>().ok_or(SHORT)?;
    let ([high, low, _, _], _) = ports.split_first_chunk::<4>().ok_or(SHORT)?;
    Ok(u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BALANCER: &str = "10.0.0.7:4711";

    fn protocol() -> ProxyProtocol {
        ProxyProtocol { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()] }
    }

    /// Reads the header, and says what is left of the connection.
    async fn read_from(socket: &str, octets: &[u8]) -> Result<(SocketAddr, Vec<u8>), ProxyError> {
        let mut stream = octets;
        let address = protocol().read(&mut stream, socket.parse().unwrap()).await?;
        Ok((address, stream.to_vec()))
    }

    async fn reads(octets: &[u8], expected: &str) {
        let connection = [octets, b"\x16\x03\x01"].concat();
        let (address, rest) = read_from(BALANCER, &connection).await.unwrap();
        assert_eq!(address, expected.parse().unwrap());
        assert_eq!(rest, b"\x16\x03\x01", "not an octet more");
    }

    async fn refuses(octets: &[u8]) {
        let outcome = read_from(BALANCER, octets).await;
        assert!(outcome.is_err(), "{:?}: {outcome:?}", String::from_utf8_lossy(octets));
    }

    fn binary(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[version_and_command, family], &length, body].concat()
    }

    fn of_ipv4() -> Vec<u8> {
        [[192, 0, 2, 1], [10, 0, 0, 7], [0xdc, 0x04, 0x20, 0xfb]].concat()
    }

    #[tokio::test]
    async fn nobody_else_may_claim_an_address() {
        for socket in ["192.0.2.9:1", "[2001:db8::1]:1", "[::ffff:192.0.2.9]:1"] {
            let outcome = read_from(socket, b"PROXY TCP4 192.0.2.1 10.0.0.7 1 2\r\n").await;
            assert!(matches!(outcome, Err(ProxyError::Untrusted(_))), "{socket}: {outcome:?}");
        }
        for socket in [BALANCER, "[fd00::1]:1", "[::ffff:10.0.0.1]:1"] {
            read_from(socket, b"PROXY TCP4 192.0.2.1 10.0.0.7 1 2\r\n").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_line_says_the_source() {
        reads(b"PROXY TCP4 192.0.2.1 10.0.0.7 56324 8443\r\n", "192.0.2.1:56324").await;
        reads(b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 8443\r\n", "[2001:db8::1]:56324").await;
        reads(b"PROXY UNKNOWN\r\n", BALANCER).await;
        reads(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", BALANCER).await;
    }

    #[tokio::test]
    async fn a_line_that_is_not_exactly_one_is_refused() {
        for line in [
            "PROXY\r\n xxxxxxxxxxxx",
            "PROXY TCP4 192.0.2.1 10.0.0.7 56324\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 56324 8443 1\r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.7 56324 8443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 56324 8443\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.7 56324 8443\r\n",
            "PROXY TCP5 192.0.2.1 10.0.0.7 56324 8443\r\n",
            "PROXY TCP4 192.0.2.1 nowhere 56324 8443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 65536 8443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 056324 8443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 +5 8443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 56324 8443\n",
            "proxy TCP4 192.0.2.1 10.0.0.7 56324 8443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.7 56324 ",
        ] {
            refuses(line.as_bytes()).await;
        }
        refuses(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200], b"\r\n"].concat()).await;
    }

    #[tokio::test]
    async fn a_binary_header_says_the_source() {
        reads(&binary(0x21, 0x11, &of_ipv4()), "192.0.2.1:56324").await;
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets().to_vec();
        let ipv6 = [source, Ipv6Addr::LOCALHOST.octets().to_vec(), vec![0xdc, 0x04, 0x20, 0xfb]];
        reads(&binary(0x21, 0x21, &ipv6.concat()), "[2001:db8::1]:56324").await;
        // With an extension, and of the balancer itself.
        let extended = [of_ipv4(), vec![0x04, 0x00, 0x02, 0x00, 0x00]].concat();
        reads(&binary(0x21, 0x11, &extended), "192.0.2.1:56324").await;
        reads(&binary(0x20, 0x00, &[]), BALANCER).await;
        reads(&binary(0x21, 0x00, &[]), BALANCER).await;
    }

    #[tokio::test]
    async fn a_binary_header_of_another_kind_is_refused() {
        for (version_and_command, family) in
            [(0x11, 0x11), (0x31, 0x11), (0x22, 0x11), (0x21, 0x12), (0x21, 0x31), (0x21, 0xff)]
        {
            refuses(&binary(version_and_command, family, &of_ipv4())).await;
        }
        refuses(&binary(0x21, 0x11, &of_ipv4()[..11])).await;
        refuses(&binary(0x21, 0x21, &of_ipv4())).await;
        refuses(&binary(0x21, 0x11, &[0; LONGEST_BODY + 1])).await;
        let mut cut = binary(0x21, 0x11, &of_ipv4());
        cut.pop();
        refuses(&cut).await;
    }

    #[tokio::test]
    async fn a_connection_without_a_header_is_refused() {
        for start in [
            b"".as_slice(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            refuses(start).await;
        }
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200), signed: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let octets = if signed { [SIGNATURE.as_slice(), &octets].concat() } else { octets };
            let _ = runtime.block_on(read_from(BALANCER, &octets));
        }
    }
}
