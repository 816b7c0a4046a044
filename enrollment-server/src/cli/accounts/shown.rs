//! Accounts and orders as they are shown. What a client sent is shown without control characters; keys are not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    acme::{AccountRow, AccountStatus, OrderRow, OrderStatus, StoredProblem},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, Owner, ResourceName},
};
use pki::{serial::SerialNumber, text::printable, time::Time};
use serde::Serialize;

/// One line for a person.
pub(super) fn account_line(account: &AccountRow) -> String {
    let kid = account.binding.as_ref().map_or("-", |binding| &binding.kid);
    let line = format!(
        "{}  {:11}  {}  {}  {kid}  {}",
        account.id,
        account.status.as_str(),
        account.created_at,
        account.method,
        account.contacts.join(" ")
    );
    printable(line.trim_end())
}

/// Several lines for a person.
pub(super) fn account_text(account: &AccountRow, orders: &[OrderRow], now: Time) -> String {
    let binding = account.binding.as_ref();
    let fields = [
        ("account", Some(account.id.to_string())),
        ("status", Some(account.status.as_str().into())),
        ("method", Some(account.method.to_string())),
        ("created", Some(account.created_at.to_string())),
        ("contacts", Some(account.contacts.join(" ")).filter(|contacts| !contacts.is_empty())),
        ("terms", account.terms_agreed.then(|| "agreed to".into())),
        ("thumbprint", Some(thumbprint(account))),
        ("kid", binding.map(|binding| binding.kid.clone())),
        ("credential", binding.map(|binding| binding.credential.to_string())),
        ("owner", account.owner.as_ref().map(ToString::to_string)),
        ("orders", Some(orders.len().to_string())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some(format!("{name:10}  {}", value?)));
    let lines = fields.chain(orders.iter().map(|order| order_line(order, now)));
    lines.map(|line| printable(&line)).collect::<Vec<_>>().join("\n")
}

fn order_line(order: &OrderRow, now: Time) -> String {
    let became = match (order.certificate(), order.error()) {
        (Some((_, serial)), _) => format!("  {serial}"),
        (None, Some(error)) => format!("  {}: {}", error.kind, error.detail),
        (None, None) => String::new(),
    };
    let status = order.status(now).as_str();
    format!("{}  {status:10}  {}  {}{became}", order.id, order.created_at, names(order).join(" "))
}

/// In JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownAccount<'a> {
    id: &'a AcmeAccountId,
    method: &'a ResourceName,
    status: AccountStatus,
    contacts: &'a [String],
    terms_agreed: bool,
    /// RFC 7638 §3, base64url: as key authorizations have it (RFC 8555 §8.1).
    thumbprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<ShownBinding<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a Owner>,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<Vec<ShownOrder<'a>>>,
}

#[derive(Debug, Serialize)]
struct ShownBinding<'a> {
    kid: &'a str,
    credential: &'a CredentialId,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownOrder<'a> {
    id: &'a AcmeOrderId,
    status: OrderStatus,
    created_at: Time,
    expires_at: Time,
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<ShownCertificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a StoredProblem>,
}

#[derive(Debug, Serialize)]
struct ShownCertificate {
    issuer: KeyId,
    serial: SerialNumber,
}

impl<'a> ShownAccount<'a> {
    /// With what became of the orders by now, where they were read.
    pub(super) fn new(row: &'a AccountRow, orders: Option<(&'a [OrderRow], Time)>) -> Self {
        let binding = row.binding.as_ref();
        Self {
            id: &row.id,
            method: &row.method,
            status: row.status,
            contacts: &row.contacts,
            terms_agreed: row.terms_agreed,
            thumbprint: thumbprint(row),
            binding: binding.map(|bound| ShownBinding { kid: &bound.kid, credential: &bound.credential }),
            owner: row.owner.as_ref(),
            created_at: row.created_at,
            orders: orders.map(|(rows, now)| rows.iter().map(|row| ShownOrder::new(row, now)).collect()),
        }
    }
}

impl<'a> ShownOrder<'a> {
    fn new(row: &'a OrderRow, now: Time) -> Self {
        Self {
            id: &row.id,
            status: row.status(now),
            created_at: row.created_at,
            expires_at: row.expires_at,
            names: names(row),
            profile: row.profile.as_deref(),
            certificate: row.certificate().map(|(issuer, serial)| ShownCertificate { issuer, serial }),
            error: row.error(),
        }
    }
}

fn thumbprint(account: &AccountRow) -> String {
    URL_SAFE_NO_PAD.encode(account.thumbprint)
}

fn names(order: &OrderRow) -> Vec<String> {
    order.authorizations.iter().map(|authorization| authorization.name()).collect()
}

#[cfg(test)]
mod tests {
    use issuance::{
        acme::OrderState,
        store::suite::samples::{
            LATER, NOW, account, account_id, credential_id, issuer, order, order_id, serial,
        },
    };
    use serde_json::json;

    use super::*;

    fn orders() -> Vec<OrderRow> {
        let valid = OrderState::Valid { issuer: issuer(1), serial: serial(7) };
        let error = StoredProblem::new("caa", "the records forbid it");
        vec![
            OrderRow { state: valid, profile: Some("short".into()), ..order(3) },
            OrderRow { state: OrderState::Invalid { error }, ..order(2) },
            order(1),
        ]
    }

    #[test]
    fn an_account_is_shown_in_json_with_its_binding_and_without_any_key() {
        let row = account(1);
        let expected = json!({
            "id": account_id(1), "method": "factory/acme", "status": "valid",
            "contacts": ["mailto:ann@acme.example"], "termsAgreed": true,
            "thumbprint": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
            "binding": {"kid": "kid-1", "credential": credential_id(1)},
            "owner": row.owner, "createdAt": NOW,
        });
        assert_eq!(serde_json::to_value(ShownAccount::new(&row, None)).unwrap(), expected);
        let free = AccountRow { binding: None, owner: None, ..account(2) };
        let shown = serde_json::to_value(ShownAccount::new(&free, None)).unwrap();
        assert!(shown.get("binding").is_none() && shown.get("owner").is_none(), "{shown}");
    }

    #[test]
    fn orders_are_shown_in_json_as_what_they_are_now() {
        let (row, orders) = (account(1), orders());
        let shown = serde_json::to_value(ShownAccount::new(&row, Some((&orders, NOW)))).unwrap();
        let common = |number: u8, status: &str| {
            let names = [format!("order-{number}.acme.example"), format!("192.0.2.{number}")];
            json!({"id": order_id(number), "status": status, "createdAt": NOW, "expiresAt": LATER, "names": names})
        };
        let mut expected = [common(3, "valid"), common(2, "invalid"), common(1, "pending")];
        expected[0]["profile"] = json!("short");
        expected[0]["certificate"] = json!({"issuer": issuer(1), "serial": serial(7)});
        expected[1]["error"] = json!({"kind": "caa", "detail": "the records forbid it"});
        assert_eq!(shown["orders"], json!(expected));
        let later = serde_json::to_value(ShownAccount::new(&row, Some((&orders, LATER)))).unwrap();
        assert_eq!(later["orders"][2]["status"], "invalid");
    }

    #[test]
    fn a_line_for_a_person_says_what_the_account_is_bound_to() {
        let account = AccountRow { contacts: vec!["mailto:\x1b[2J@acme.example".into()], ..account(1) };
        let (id, created) = (account_id(1), NOW);
        assert_eq!(
            account_line(&account),
            format!("{id}  valid        {created}  factory/acme  kid-1  mailto:\u{fffd}[2J@acme.example")
        );
        let free = AccountRow { binding: None, contacts: Vec::new(), ..account };
        assert_eq!(account_line(&free), format!("{id}  valid        {created}  factory/acme  -"));
    }

    #[test]
    fn an_account_is_shown_to_a_person_with_its_orders() {
        let text = account_text(&account(1), &orders(), NOW);
        let expected = format!(
            "account     {}\nstatus      valid\nmethod      factory/acme\ncreated     {NOW}\n\
             contacts    mailto:ann@acme.example\nterms       agreed to\n\
             thumbprint  AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\nkid         kid-1\n\
             credential  {}\nowner       group:web\norders      3\n\
             {}  valid       {NOW}  order-3.acme.example 192.0.2.3  {}\n\
             {}  invalid     {NOW}  order-2.acme.example 192.0.2.2  caa: the records forbid it\n\
             {}  pending     {NOW}  order-1.acme.example 192.0.2.1",
            account_id(1),
            credential_id(1),
            order_id(3),
            serial(7),
            order_id(2),
            order_id(1),
        );
        assert_eq!(text, expected);
    }
}
