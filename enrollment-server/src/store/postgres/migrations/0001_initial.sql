-- Times are seconds since 1970-01-01T00:00:00Z; identifiers, serial numbers, keys and hashes are BYTEA; names of
-- resources are `namespace/name`. `number` is the order in which rows came, and what the cursors of lists are made of.
--
-- Text that is compared or ordered has the collation "C": an index does not break when the system's collation changes,
-- and names are ordered as SQLite orders them. No foreign key points to a row that many commits share: checking it
-- locks that row, and every issuance would meet there.

-- Which schema this is, and the oldest program that may still use it: see migrate.rs.
CREATE TABLE schema_history (
    version BIGINT PRIMARY KEY,
    oldest BIGINT NOT NULL
);

-- Every issued certificate costs one row here and one entry in each of four indexes. Lists filtered by profile, owner,
-- credential, name or time walk the table in order, or the rows of one method, so that an issuance does not pay for the few
-- lists.
CREATE TABLE certificates (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issuer BYTEA NOT NULL,
    serial BYTEA NOT NULL,
    -- 0 valid, 1 held, 2 revoked
    status SMALLINT NOT NULL,
    revoked_at BIGINT,
    -- RFC 5280 §5.3.1
    reason SMALLINT,
    invalidity_date BIGINT,
    authority TEXT COLLATE "C",
    profile TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    protocol TEXT COLLATE "C" NOT NULL,
    credential BYTEA,
    -- user:NAME or group:NAME
    owner TEXT COLLATE "C",
    requester TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    -- JSON array
    subject_alt_names TEXT COLLATE "C" NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    public_key_sha256 BYTEA NOT NULL,
    -- Whether the server made the key.
    server_key BOOLEAN NOT NULL,
    request BYTEA,
    der BYTEA NOT NULL
);

-- The serial number first, because an operator may have nothing else.
CREATE UNIQUE INDEX certificates_serial ON certificates (serial, issuer);

-- Who asks over REST sees the rows of one method: a million of another do not make that slower.
CREATE INDEX certificates_method ON certificates (method, number);

-- Eight octets find the few rows to compare in full; all 32 would triple the size of this index, whose pages are
-- touched at random.
CREATE INDEX certificates_key ON certificates (substr(public_key_sha256, 1, 8));

-- Holds whatever a CRL needs, in the order of serial numbers, and costs valid certificates nothing.
CREATE INDEX certificates_revoked ON certificates (issuer, length(serial), serial)
    INCLUDE (not_after, status, revoked_at, reason, invalidity_date)
    WHERE status <> 0;

CREATE TABLE requests (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    method TEXT COLLATE "C" NOT NULL,
    key BYTEA,
    content BYTEA NOT NULL,
    profile TEXT COLLATE "C" NOT NULL,
    -- JSON
    requester TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    encoded BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_by TEXT COLLATE "C",
    decided_at BIGINT,
    decision_reason TEXT COLLATE "C",
    -- JSON: the credential of whoever decided, and who else could have
    decider TEXT COLLATE "C",
    certificate_issuer BYTEA,
    certificate_serial BYTEA
);

CREATE UNIQUE INDEX requests_key ON requests (key, method) WHERE key IS NOT NULL;

CREATE INDEX requests_pending ON requests (expires_at) WHERE state = 'pending';

CREATE INDEX requests_waiting ON requests (method, number) WHERE state = 'pending';

CREATE TABLE credentials (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    protocol TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C",
    -- JSON
    verifier TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C",
    -- 0 active, 1 revoked
    state SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    maximum_uses BIGINT,
    -- Without those in credential_uses.
    uses BIGINT NOT NULL,
    first_used_at BIGINT,
    last_used_at BIGINT,
    -- From where it was used last.
    last_address TEXT COLLATE "C",
    declared BOOLEAN NOT NULL,
    regeneration BIGINT NOT NULL,
    -- JSON: which names may be asked for
    identifiers TEXT COLLATE "C",
    -- JSON: what may be done over REST
    actions TEXT COLLATE "C",
    -- JSON: the value before, and until when it is accepted
    previous TEXT COLLATE "C"
);

-- Asked with every authentication.
CREATE INDEX credentials_username ON credentials (method, username);

-- An access key says its own name and no method.
CREATE UNIQUE INDEX credentials_access_key ON credentials (username) WHERE protocol = 'rest';

-- Uses of credentials without a limit, counted apart for each audit stream, so that commits that use one credential at
-- once do not wait for each other. Added to the credential's own when that is replaced.
CREATE TABLE credential_uses (
    credential BIGINT NOT NULL,
    stream BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    last_address TEXT COLLATE "C",
    PRIMARY KEY (credential, stream)
) WITH (fillfactor = 50);

-- What is collected in memory and written now and then: requests that commit nothing, and failures. Nothing of a request waits
-- for these rows.
CREATE TABLE credential_usage (
    credential BIGINT PRIMARY KEY,
    requests BIGINT NOT NULL,
    first_accepted_at BIGINT,
    last_accepted_at BIGINT,
    last_address TEXT COLLATE "C",
    failures BIGINT NOT NULL,
    last_failure_at BIGINT,
    -- As in the audit trail
    failure_reason TEXT COLLATE "C",
    failure_address TEXT COLLATE "C"
) WITH (fillfactor = 50);

CREATE TABLE crls (
    issuer BYTEA NOT NULL,
    number BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    der BYTEA NOT NULL,
    PRIMARY KEY (issuer, number)
);

-- A CRL does not shrink much, and trying costs more than it saves.
ALTER TABLE crls ALTER COLUMN der SET STORAGE EXTERNAL;

CREATE TABLE sealed (
    name TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    public BYTEA NOT NULL
);

CREATE TABLE jobs (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    payload BYTEA NOT NULL,
    run_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT COLLATE "C",
    lease_owner TEXT COLLATE "C",
    leased_until BIGINT,
    -- The earliest run that was asked for since the lease began.
    requested_at BIGINT,
    UNIQUE (kind, key)
);

CREATE INDEX jobs_run_at ON jobs (run_at);

-- A row is a JSON document; what it is found by stands beside it.
CREATE TABLE acme_accounts (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    thumbprint BYTEA NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    credential BYTEA,
    document TEXT COLLATE "C" NOT NULL,
    CONSTRAINT acme_accounts_key UNIQUE (thumbprint, method)
);

-- With its authorizations and challenges, which change together. Room in each page for the next version of a row, because
-- each is written a few times within seconds.
CREATE TABLE acme_orders (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    account BYTEA NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    keep_until BIGINT NOT NULL,
    -- The certificate to replace, and how far the order came: 0 open, 1 processing, 2 valid. NULL for most orders, and for
    -- those that came to nothing.
    replaces_issuer BYTEA,
    replaces_serial BYTEA,
    progress SMALLINT,
    document TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX acme_orders_account ON acme_orders (account, number);

CREATE INDEX acme_orders_keep_until ON acme_orders (keep_until);

CREATE INDEX acme_orders_replaces ON acme_orders (replaces_serial, replaces_issuer)
    WHERE replaces_serial IS NOT NULL;

-- Room in each page for the next version of a row, because many are written twice.
CREATE TABLE rest_orders (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    credential BYTEA,
    -- As recorded: one that expired still waits for a CSR here.
    state TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    keep_until BIGINT NOT NULL,
    idempotency BYTEA,
    -- Whether the document holds a private key, sealed.
    key_held BOOLEAN NOT NULL,
    -- The certificate that was issued, where the server made its key.
    issuer BYTEA,
    serial BYTEA,
    -- The certificate to renew, and how far the order came: 0 open, 1 issued. NULL for most orders, and for those that came
    -- to nothing.
    replaces_issuer BYTEA,
    replaces_serial BYTEA,
    progress SMALLINT,
    document TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 70);

-- Lists walk the orders of one method.
CREATE INDEX rest_orders_method ON rest_orders (method, number);

CREATE INDEX rest_orders_keep_until ON rest_orders (keep_until);

CREATE UNIQUE INDEX rest_orders_idempotency ON rest_orders (idempotency, method) WHERE idempotency IS NOT NULL;

CREATE INDEX rest_orders_certificate ON rest_orders (serial, issuer) WHERE serial IS NOT NULL;

CREATE INDEX rest_orders_replaces ON rest_orders (replaces_serial, replaces_issuer)
    WHERE replaces_serial IS NOT NULL;

-- What may be used once, by the first 128 bits of a hash. Not in the log: a crash of the database forgets all of them, and
-- then each may be used once more.
CREATE UNLOGGED TABLE claims (
    key BYTEA PRIMARY KEY,
    until BIGINT NOT NULL
);

CREATE INDEX claims_until ON claims (until);

-- One for each connection that commits: `writer` is what the program calls itself, `slot` the connection's place. Whoever
-- appends holds an advisory lock on the number.
CREATE TABLE audit_streams (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL,
    -- writer/slot
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    -- Of the last commit that left no record: by this or by its record, a commit whose answer was lost is found again.
    mark BYTEA,
    UNIQUE (writer, slot)
);

CREATE TABLE audit_records (
    stream BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    -- JSON, byte for byte what was hashed
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (stream, sequence)
);

CREATE TABLE checkpoints (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- JSON
    checkpoint TEXT COLLATE "C" NOT NULL
);
