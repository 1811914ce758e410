# docker build -t headwater .
# docker run -d --name headwater --read-only -p 1935:1935 -p 8080:8080 -v headwater:/data headwater
# docker logs headwater        # shows the publish key, once

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION= COMMIT= DATE=
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT -X main.date=$DATE" \
      -o /out/headwater ./cmd/headwater \
 && mkdir /out/data

FROM scratch
COPY --from=build /out/headwater /headwater
# A new volume takes over the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV HEADWATER_DATA=/data
VOLUME /data
# Publishers; players and CDNs. The admin listener stays on the container's own
# loopback until HEADWATER_ADMIN_LISTEN and HEADWATER_ADMIN_TOKEN say otherwise.
EXPOSE 1935 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/headwater", "health"]
ENTRYPOINT ["/headwater"]
CMD ["serve"]
