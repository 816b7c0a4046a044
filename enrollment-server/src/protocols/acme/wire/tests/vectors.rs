//! The signatures that the standards print.

use super::super::{algorithm::MacAlgorithm, base64url, jwk::AccountKey};

/// RFC 7515 §A.1.1 and on: the payload that most examples share.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn octets(text: &str) -> Vec<u8> {
    base64url::decode(text, 2048).unwrap()
}

fn verifies_and_nothing_else(jwk: &str, header: &str, payload: &str, signature: &str) {
    let key = AccountKey::from_canonical(jwk).unwrap();
    let (message, signature) = (format!("{header}.{payload}"), octets(signature));
    assert!(key.verifies(message.as_bytes(), &signature), "{jwk}");
    assert!(!key.verifies(format!("{message}A").as_bytes(), &signature));
    for index in [0, signature.len() / 2, signature.len() - 1] {
        let mut changed = signature.clone();
        changed[index] ^= 1;
        assert!(!key.verifies(message.as_bytes(), &changed), "octet {index}");
    }
    assert!(!key.verifies(message.as_bytes(), &signature[1..]));
    assert!(!key.verifies(message.as_bytes(), &[signature.as_slice(), &[0]].concat()));
    assert!(!key.verifies(message.as_bytes(), &[]));
}

#[test]
fn hs256_of_rfc_7515_appendix_a_1() {
    let key =
        octets("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let message = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}");
    let tag = octets("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert!(MacAlgorithm::Hs256.verifies(&key, message.as_bytes(), &tag));
    assert!(!MacAlgorithm::Hs384.verifies(&key, message.as_bytes(), &tag));
    assert!(!MacAlgorithm::Hs256.verifies(&key[1..], message.as_bytes(), &tag));
    assert!(!MacAlgorithm::Hs256.verifies(&key, message.as_bytes(), &tag[..16]));
}

#[test]
fn rs256_of_rfc_7515_appendix_a_2() {
    let jwk = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    verifies_and_nothing_else(jwk, "eyJhbGciOiJSUzI1NiJ9", CLAIMS, signature);
}

#[test]
fn es256_of_rfc_7515_appendix_a_3() {
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    verifies_and_nothing_else(jwk, "eyJhbGciOiJFUzI1NiJ9", CLAIMS, signature);
}

#[test]
fn es512_of_rfc_7515_appendix_a_4() {
    let jwk = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    let signature = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    verifies_and_nothing_else(jwk, "eyJhbGciOiJFUzUxMiJ9", "UGF5bG9hZA", signature);
}

#[test]
fn eddsa_of_rfc_8037_appendix_a_4() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let payload = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    verifies_and_nothing_else(jwk, "eyJhbGciOiJFZERTQSJ9", payload, signature);
}
