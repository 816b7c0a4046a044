"""Orders certificates with the client that was generated from the served document: API CA KEY CSR FOLDER."""

import pathlib
import ssl
import sys

from generated import AuthenticatedClient
from generated.api.certificates import (
    download_certificate,
    issue_certificate,
    list_certificates,
    read_certificate,
)
from generated.api.orders import create_order, read_order
from generated.models import DownloadCertificateFormat, IssueRequest, KeyFormat, OrderRequest, Problem, Status

api, ca, key, csr, folder = sys.argv[1:]
folder = pathlib.Path(folder)
client = AuthenticatedClient(
    base_url=api,
    token=pathlib.Path(key).read_text().strip(),
    verify_ssl=ssl.create_default_context(cafile=ca),
    raise_on_unexpected_status=True,
)

# With a request of its own.
order = OrderRequest(csr=pathlib.Path(csr).read_text(), validity_days=30)
order = create_order.sync(client=client, body=order, idempotency_key="generated")
assert order.status is Status.ISSUED, order
assert read_order.sync(order.id, client=client).certificate_id == order.certificate_id
file = download_certificate.sync(order.certificate_id, client=client, format_=DownloadCertificateFormat.FULLCHAIN)
(folder / "ordered.pem").write_bytes(file)

# With a key of the server's.
wanted = IssueRequest(
    domains=["generated.example.internal"], format_=KeyFormat.PKCS8, passphrase="correct horse"
)
issued = issue_certificate.sync(client=client, body=wanted)
(folder / "issued.pem").write_text(issued.certificate.certificate)
(folder / "issued.key").write_text(issued.key.private_key)
certificate = read_certificate.sync(issued.certificate.id, client=client)
assert certificate.server_key, certificate
page = list_certificates.sync(client=client, name="generated.example.internal")
assert [item.id for item in page.items] == [certificate.id], page

# A refusal is an object too.
problem = create_order.sync(client=client, body=OrderRequest(domains=["www.example.org"], server_key=True))
assert isinstance(problem, Problem), problem
assert (problem.status, problem.rule) == (403, "subjectAltNames"), problem
