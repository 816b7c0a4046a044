//! A DNS server that knows what it was told, and writes down what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

/// Lives as long as the value.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _servers: JoinSet<()>,
}

#[derive(Default)]
struct Zone {
    records: Vec<Record>,
    /// Answers that are given once each, before the records count.
    once: HashMap<(Name, RecordType), VecDeque<Vec<RData>>>,
    codes: HashMap<Name, ResponseCode>,
    /// Names about which nothing is ever said.
    silent: Vec<Name>,
    /// Names for which other servers are named.
    referred: Vec<Name>,
    /// Whether aliases are followed here, as a resolver does, or each is one answer.
    follows: bool,
    /// Whether UDP answers are cut off.
    cuts: bool,
    asked: Vec<(String, RecordType)>,
    over_tcp: usize,
}

impl Dns {
    pub(crate) async fn new() -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            // Another process may have the port of the other protocol.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { follows: true, ..Zone::default() }));
        let mut servers = JoinSet::new();
        servers.spawn(serve_udp(udp, zone.clone()));
        servers.spawn(serve_tcp(tcp, zone.clone()));
        Self { address, zone, _servers: servers }
    }

    pub(crate) fn a(&self, name: &str, address: [u8; 4]) {
        self.add(name, RData::A(A(address.into())));
    }

    pub(crate) fn address(&self, name: &str, address: IpAddr) {
        self.add(
            name,
            match address {
                IpAddr::V4(address) => RData::A(A(address)),
                IpAddr::V6(address) => RData::AAAA(AAAA(address)),
            },
        );
    }

    pub(crate) fn cname(&self, name: &str, target: &str) {
        self.add(name, RData::CNAME(CNAME(fqdn(target))));
    }

    /// One record of these strings.
    pub(crate) fn txt(&self, name: &str, strings: &[&str]) {
        let strings = strings.iter().map(|text| (*text).to_owned()).collect();
        self.add(name, RData::TXT(TXT::new(strings)));
    }

    pub(crate) fn caa(&self, name: &str, critical: bool, tag: &str, value: &str) {
        let mut caa = CAA::new_issue(critical, None, Vec::new());
        caa.tag = tag.into();
        caa.value = value.as_bytes().to_vec();
        self.add(name, RData::CAA(caa));
    }

    pub(crate) fn clear(&self, name: &str) {
        let name = fqdn(name);
        self.zone.lock().unwrap().records.retain(|record| record.name != name);
    }

    /// The next answers, one after the other.
    pub(crate) fn once(&self, name: &str, address: [u8; 4]) {
        let mut zone = self.zone.lock().unwrap();
        let answers = zone.once.entry((fqdn(name), RecordType::A)).or_default();
        answers.push_back(vec![RData::A(A(address.into()))]);
    }

    pub(crate) fn fails(&self, name: &str, code: ResponseCode) {
        self.zone.lock().unwrap().codes.insert(fqdn(name), code);
    }

    pub(crate) fn is_silent_about(&self, name: &str) {
        self.zone.lock().unwrap().silent.push(fqdn(name));
    }

    pub(crate) fn refers(&self, name: &str) {
        self.zone.lock().unwrap().referred.push(fqdn(name));
    }

    /// Every alias is an answer of its own.
    pub(crate) fn does_not_follow(&self) {
        self.zone.lock().unwrap().follows = false;
    }

    pub(crate) fn cuts_udp(&self) {
        self.zone.lock().unwrap().cuts = true;
    }

    pub(crate) fn over_tcp(&self) -> usize {
        self.zone.lock().unwrap().over_tcp
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, name: &str, kind: RecordType) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.asked.iter().filter(|asked| **asked == (name.to_owned(), kind)).count()
    }

    /// All names that were asked for records of this kind, in order.
    pub(crate) fn asked_for(&self, kind: RecordType) -> Vec<String> {
        let zone = self.zone.lock().unwrap();
        zone.asked.iter().filter(|(_, asked)| *asked == kind).map(|(name, _)| name.clone()).collect()
    }

    fn add(&self, name: &str, data: RData) {
        self.zone.lock().unwrap().records.push(Record::from_rdata(fqdn(name), 3600, data));
    }
}

impl Zone {
    /// None: no answer.
    fn answer(&mut self, question: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let (name, kind) = (query.name().clone(), query.query_type());
        self.asked.push((name.to_ascii().trim_end_matches('.').to_owned(), kind));
        self.over_tcp += usize::from(!is_udp);
        if self.silent.contains(&name) {
            return None;
        }
        let mut answer = Message::response(question.id, OpCode::Query);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        answer.add_query(query);
        if let Some(code) = self.codes.get(&name) {
            answer.metadata.response_code = *code;
        } else if self.referred.contains(&name) {
            let server = RData::NS(NS(fqdn("ns.elsewhere.test")));
            answer.add_authorities([Record::from_rdata(name, 3600, server)]);
        } else if is_udp && self.cuts {
            answer.metadata.truncation = true;
        } else {
            self.fill(&mut answer, name, kind);
        }
        answer.to_vec().ok()
    }

    fn fill(&mut self, answer: &mut Message, mut name: Name, kind: RecordType) {
        if let Some(once) = self.once.get_mut(&(name.clone(), kind)).and_then(VecDeque::pop_front) {
            answer.add_answers(once.into_iter().map(|data| Record::from_rdata(name.clone(), 3600, data)));
            return;
        }
        for _ in 0..32 {
            let of_name: Vec<_> = self.records.iter().filter(|record| record.name == name).collect();
            let alias = of_name.iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(((*record).clone(), target.0.clone())),
                _ => None,
            });
            match alias {
                Some((record, target)) if kind != RecordType::CNAME => {
                    answer.add_answers([record]);
                    if !self.follows {
                        return;
                    }
                    name = target;
                }
                _ => {
                    let found = of_name.iter().filter(|record| record.record_type() == kind);
                    let found: Vec<_> = found.map(|record| (*record).clone()).collect();
                    if found.is_empty() {
                        if of_name.is_empty() && !self.records.iter().any(|record| name.zone_of(&record.name))
                        {
                            answer.metadata.response_code = ResponseCode::NXDomain;
                        }
                        answer.add_authorities([soa()]);
                    }
                    answer.add_answers(found);
                    return;
                }
            }
        }
        answer.metadata.response_code = ResponseCode::ServFail;
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let answer = zone.lock().unwrap().answer(&buffer[..length], true);
        if let Some(answer) = answer {
            socket.send_to(&answer, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_stream(stream, zone.clone()));
    }
}

async fn serve_stream(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; length.into()];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let answer = zone.lock().unwrap().answer(&question, false);
        if let Some(answer) = answer {
            let length = u16::try_from(answer.len()).unwrap();
            if stream.write_u16(length).await.is_err() || stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

fn fqdn(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn soa() -> Record {
    let soa = SOA::new(fqdn("ns.test"), fqdn("hostmaster.test"), 1, 3600, 600, 86_400, 3600);
    Record::from_rdata(fqdn("test"), 3600, RData::SOA(soa))
}
