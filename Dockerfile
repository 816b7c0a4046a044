# The two images. `cargo xtask image` builds both, with a container engine or without one; by hand:
#
#     docker build --target chancery-operator --tag chancery-operator .
#     docker build --target chancery-server   --tag chancery-server .
#
# Each holds one dynamically linked program, the libraries that it is linked with, and the certificates of public
# authorities; no shell, no package manager. Not static, so that a PKCS#11 module that is mounted into the pod can be loaded.

ARG RUST_VERSION=1.95.0
FROM rust:${RUST_VERSION}-bookworm AS build
# `dev` is what tests use; it builds in a fraction of the time.
ARG PROFILE=release
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo xtask image --profile "$PROFILE" --stage /staging

FROM scratch AS chancery-operator
COPY --from=build /staging/chancery-operator /
USER 65532:65532
ENTRYPOINT ["/usr/bin/chancery-operator"]
CMD ["run"]
LABEL org.opencontainers.image.title=chancery-operator org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/chancery-pki/chancery

FROM scratch AS chancery-server
COPY --from=build /staging/chancery-server /
USER 65532:65532
# 8443 devices (TLS), 8080 revocation lists and certificates of authorities, 8081 health and metrics, 8444 the operator
EXPOSE 8443 8080 8081 8444
ENTRYPOINT ["/usr/bin/chancery-server"]
CMD ["serve"]
LABEL org.opencontainers.image.title=chancery-server org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/chancery-pki/chancery
