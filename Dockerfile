# docker build -t headwater .
# docker run -d --name headwater --read-only -p 1935:1935 -p 8080:8080 -v headwater:/data headwater
# docker logs headwater        # shows the publish key, once
#
# A release names itself: --build-arg VERSION=1.2.3 --build-arg COMMIT=$(git rev-parse HEAD)
# --build-arg DATE=$(git show -s --format=%cI). With buildah add --format docker, or the
# image has no health check.

# Any image with Node.js 20.19 or newer, and any with Go 1.26 and certificates of
# authorities, will do.
ARG NODE_IMAGE=node:22-bookworm-slim
ARG GO_IMAGE=golang:1.26-bookworm

FROM --platform=$BUILDPLATFORM $NODE_IMAGE AS console
WORKDIR /console
COPY origin/console/package.json origin/console/package-lock.json origin/console/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY origin/console ./
RUN npm run build

FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=console /console/dist origin/console/dist
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
ARG DATE
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT -X main.date=$DATE" \
      -o /out/headwater ./cmd/headwater \
 && mkdir /out/data

FROM scratch
ARG VERSION
ARG COMMIT
ARG DATE
LABEL org.opencontainers.image.title=headwater \
      org.opencontainers.image.description="The origin that a live video CDN pulls from" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$COMMIT \
      org.opencontainers.image.created=$DATE
# Whom to trust: relays over rtmps, callbacks and key sets over https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/headwater /headwater
COPY LICENSE /LICENSE
# A new volume takes over the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV HEADWATER_DATA=/data
VOLUME /data
# Publishers; players and CDNs. The admin listener stays on the container's own
# loopback until HEADWATER_ADMIN_LISTEN and HEADWATER_ADMIN_TOKEN say otherwise.
EXPOSE 1935 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/headwater", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/headwater"]
CMD ["serve"]
