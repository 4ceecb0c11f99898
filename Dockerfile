# The image of the gateway: the package that npm pack makes, and what it depends on. See docs/deployment.md.
#
#   docker build -t sage-gateway .
#
# The tag is exact, so that a build of tomorrow is the build of today; it is the Node that the tests run on. A registry
# that resolves it to a digest can be held to that too: FROM node:26.10.0-trixie-slim@sha256:…

FROM node:26.10.0-trixie-slim AS build
WORKDIR /build
# Packages change less often than the source, so that their layer is kept.
COPY package.json package-lock.json ./
# Install scripts are code of strangers. Nothing here needs one: addons come built.
RUN npm ci --ignore-scripts --no-audit --no-fund
# What .dockerignore lets in.
COPY . .
RUN npm pack --silent \
  && tar -xzf sage-gateway-*.tgz \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && mkdir -m 0700 data

FROM node:26.10.0-trixie-slim
LABEL org.opencontainers.image.title="sage-gateway" \
  org.opencontainers.image.description="An API gateway that stands in front of AI agents and proves who is calling" \
  org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
# Owned by root and not writable for the user below: a gateway that was broken into cannot change its program.
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/package ./
COPY deploy/docker/health-check.mjs ./
# All it writes; a volume that is mounted here takes over the owner.
COPY --from=build --chown=10001:10001 /build/data /var/lib/sage
# Off loopback it refuses to start without PUBLIC_ORIGINS and either TLS or TRUSTED_PROXIES, which only you know.
ENV HOST=0.0.0.0 PORT=8080 CONFIG_FILE=/etc/sage/sage.yaml DATA_DIR=/var/lib/sage
# By number, which Kubernetes' runAsNonRoot can judge.
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["node", "health-check.mjs"]
# Without a shell between, so that SIGTERM reaches the gateway and it drains.
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve"]
