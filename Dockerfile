# A server in a container; docs/container.md says how to run it.
#
#   docker build --tag talos .
#
# BuildKit keeps the downloaded packages and the compiled RocksDB between builds.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ libclang-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package talos \
 && scripts/split-debug target/release/talos /out

# The debug information of the program below, for debuggers and profilers:
#   docker build --target debug --output debug .
FROM scratch AS debug
COPY --from=build /out/talos.debug /

FROM ${RUNTIME_IMAGE}
# The ids are fixed, so that a volume keeps its owner when the image is replaced.
RUN groupadd --gid 10001 talos \
 && useradd --uid 10001 --gid talos --no-create-home --home-dir /var/lib/talos --shell /usr/sbin/nologin talos \
 && install --directory --owner talos --group talos --mode 0700 /var/lib/talos
COPY --from=build /out/talos /usr/local/bin/talos
COPY config/talos.yaml /usr/share/talos/talos.yaml
# One level below the volume: when a node rejoins its fleet, it moves its old database to a
# directory beside the new one.
ENV TALOS_DB_DSN=rocksdb:///var/lib/talos/data
USER talos
WORKDIR /var/lib/talos
VOLUME /var/lib/talos
# API, replication, metrics.
EXPOSE 4420 4421 4422
ENTRYPOINT ["talos"]
CMD ["serve"]
