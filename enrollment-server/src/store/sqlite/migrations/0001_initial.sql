-- Times are seconds since 1970-01-01T00:00:00Z; identifiers, serial numbers, keys and hashes are BLOBs.
-- `number` is the order in which rows came, and what the cursors of lists are made of.

-- Which schema this is, and the oldest program that may still use it: see migrate.rs.
CREATE TABLE schema_history (
    version INTEGER PRIMARY KEY,
    oldest INTEGER NOT NULL
) STRICT;

-- Written when a commit has failed, to see whether the disk has room again: as much as several commits take.
CREATE TABLE disk_probe (
    number INTEGER PRIMARY KEY,
    filler BLOB NOT NULL
) STRICT;

-- Names of authorities, profiles and methods, written once so that a row holds a small integer instead: ten million
-- certificates name three each. Never deleted.
CREATE TABLE resources (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (namespace, name)
) STRICT;

-- Key identifiers of whoever signs. Never deleted.
CREATE TABLE issuers (
    number INTEGER PRIMARY KEY,
    key_id BLOB NOT NULL UNIQUE
) STRICT;

-- Every issued certificate costs one row here, one in certificate_der, and one entry in each of three indexes. Lists
-- filtered by profile, owner, credential, name or time walk the table in order, or the rows of one method: without the DER a
-- million rows are read in 0.14 s, so an index for each would cost every issuance more than it saves the few lists.
CREATE TABLE certificates (
    number INTEGER PRIMARY KEY,
    issuer INTEGER NOT NULL REFERENCES issuers,
    serial BLOB NOT NULL,
    -- 0 valid, 1 held, 2 revoked
    status INTEGER NOT NULL,
    revoked_at INTEGER,
    -- RFC 5280 §5.3.1
    reason INTEGER,
    invalidity_date INTEGER,
    authority INTEGER REFERENCES resources,
    profile INTEGER NOT NULL REFERENCES resources,
    method INTEGER NOT NULL REFERENCES resources,
    protocol TEXT NOT NULL,
    credential BLOB,
    -- user:NAME or group:NAME
    owner TEXT,
    requester TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- JSON array
    subject_alt_names TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    public_key_sha256 BLOB NOT NULL,
    -- Whether the server made the key.
    server_key INTEGER NOT NULL,
    request BLOB
) STRICT;

-- The serial number first, because an operator may have nothing else.
CREATE UNIQUE INDEX certificates_serial ON certificates (serial, issuer);

-- Who asks over REST sees the rows of one method: a million of another do not make that slower.
CREATE INDEX certificates_method ON certificates (method);

-- Eight octets find the few rows to compare in full; all 32 would triple the size of this index, whose pages are
-- touched at random.
CREATE INDEX certificates_key ON certificates (substr(public_key_sha256, 1, 8));

-- Holds whatever a CRL needs, in the order of serial numbers, and costs valid certificates nothing.
CREATE INDEX certificates_revoked ON certificates
    (issuer, length(serial), serial, not_after, status, revoked_at, reason, invalidity_date)
    WHERE status <> 0;

CREATE TABLE certificate_der (
    number INTEGER PRIMARY KEY REFERENCES certificates,
    der BLOB NOT NULL
) STRICT;

-- AUTOINCREMENT, because requests are deleted and a cursor must not meet a number twice.
CREATE TABLE requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    method INTEGER NOT NULL REFERENCES resources,
    key BLOB,
    content BLOB NOT NULL,
    profile INTEGER NOT NULL REFERENCES resources,
    -- JSON
    requester TEXT NOT NULL,
    state TEXT NOT NULL,
    summary TEXT NOT NULL,
    encoded BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_by TEXT,
    decided_at INTEGER,
    decision_reason TEXT,
    -- JSON: the credential of whoever decided, and who else could have
    decider TEXT,
    certificate_issuer INTEGER REFERENCES issuers,
    certificate_serial BLOB
) STRICT;

CREATE UNIQUE INDEX requests_key ON requests (key, method) WHERE key IS NOT NULL;

CREATE INDEX requests_pending ON requests (expires_at) WHERE state = 'pending';

CREATE INDEX requests_waiting ON requests (method) WHERE state = 'pending';

CREATE TABLE credentials (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    method INTEGER NOT NULL REFERENCES resources,
    protocol TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    username TEXT,
    -- JSON
    verifier TEXT NOT NULL,
    owner TEXT,
    -- 0 active, 1 revoked
    state INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    maximum_uses INTEGER,
    uses INTEGER NOT NULL,
    first_used_at INTEGER,
    last_used_at INTEGER,
    -- From where it was used last.
    last_address TEXT,
    declared INTEGER NOT NULL,
    regeneration INTEGER NOT NULL,
    -- JSON: which names may be asked for
    identifiers TEXT,
    -- JSON: what may be done over REST
    actions TEXT,
    -- JSON: the value before, and until when it is accepted
    previous TEXT
) STRICT;

-- Asked with every authentication.
CREATE INDEX credentials_username ON credentials (method, username);

-- An access key says its own name and no method.
CREATE UNIQUE INDEX credentials_access_key ON credentials (username) WHERE protocol = 'rest';

-- What is collected in memory and written now and then: requests that commit nothing, and failures.
CREATE TABLE credential_usage (
    credential INTEGER PRIMARY KEY REFERENCES credentials ON DELETE CASCADE,
    requests INTEGER NOT NULL,
    first_accepted_at INTEGER,
    last_accepted_at INTEGER,
    last_address TEXT,
    failures INTEGER NOT NULL,
    last_failure_at INTEGER,
    -- As in the audit trail
    failure_reason TEXT,
    failure_address TEXT
) STRICT;

CREATE TABLE crls (
    issuer INTEGER NOT NULL REFERENCES issuers,
    number INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (issuer, number)
) STRICT;

CREATE TABLE sealed (
    name TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    public BLOB NOT NULL
) STRICT;

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    run_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    lease_owner TEXT,
    leased_until INTEGER,
    -- The earliest run that was asked for since the lease began.
    requested_at INTEGER,
    UNIQUE (kind, key)
) STRICT;

CREATE INDEX jobs_run_at ON jobs (run_at);

-- A row is a JSON document; what it is found by stands beside it.
CREATE TABLE acme_accounts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    method INTEGER NOT NULL REFERENCES resources,
    thumbprint BLOB NOT NULL,
    status TEXT NOT NULL,
    credential BLOB,
    document TEXT NOT NULL,
    UNIQUE (thumbprint, method)
) STRICT;

-- With its authorizations and challenges, which change together. AUTOINCREMENT, because orders are deleted and a cursor
-- must not meet a number twice.
CREATE TABLE acme_orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    account BLOB NOT NULL,
    method INTEGER NOT NULL REFERENCES resources,
    keep_until INTEGER NOT NULL,
    -- The certificate to replace, and how far the order came: 0 open, 1 processing, 2 valid. NULL for most orders, and for
    -- those that came to nothing.
    replaces_issuer BLOB,
    replaces_serial BLOB,
    progress INTEGER,
    document TEXT NOT NULL
) STRICT;

CREATE INDEX acme_orders_account ON acme_orders (account);

CREATE INDEX acme_orders_keep_until ON acme_orders (keep_until);

CREATE INDEX acme_orders_replaces ON acme_orders (replaces_serial, replaces_issuer)
    WHERE replaces_serial IS NOT NULL;

-- AUTOINCREMENT, because orders are deleted and a cursor must not meet a number twice. Lists walk the orders of one method.
CREATE TABLE rest_orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    method INTEGER NOT NULL REFERENCES resources,
    credential BLOB,
    -- As recorded: one that expired still waits for a CSR here.
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    idempotency BLOB,
    -- Whether the document holds a private key, sealed.
    key_held INTEGER NOT NULL,
    -- The certificate that was issued, where the server made its key.
    issuer BLOB,
    serial BLOB,
    -- The certificate to renew, and how far the order came: 0 open, 1 issued. NULL for most orders, and for those that came
    -- to nothing.
    replaces_issuer BLOB,
    replaces_serial BLOB,
    progress INTEGER,
    document TEXT NOT NULL
) STRICT;

CREATE INDEX rest_orders_method ON rest_orders (method);

CREATE INDEX rest_orders_keep_until ON rest_orders (keep_until);

CREATE UNIQUE INDEX rest_orders_idempotency ON rest_orders (idempotency, method) WHERE idempotency IS NOT NULL;

CREATE INDEX rest_orders_certificate ON rest_orders (serial, issuer) WHERE serial IS NOT NULL;

CREATE INDEX rest_orders_replaces ON rest_orders (replaces_serial, replaces_issuer)
    WHERE replaces_serial IS NOT NULL;

CREATE TABLE audit_streams (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- A record's place is its key, stream * 2^40 + sequence, so that appending touches one page: an index of the two would
-- cost each issuance another.
CREATE TABLE audit_records (
    number INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL GENERATED ALWAYS AS (number >> 40) VIRTUAL,
    sequence INTEGER NOT NULL GENERATED ALWAYS AS (number & 0xffffffffff) VIRTUAL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    -- JSON, byte for byte what was hashed
    body TEXT NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY,
    -- JSON
    checkpoint TEXT NOT NULL
) STRICT;
