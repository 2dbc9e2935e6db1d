# fasthits with its page. compose.yaml runs it beside nginx and memcached.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m venv /opt/fasthits && /opt/fasthits/bin/pip install --no-cache-dir '/source[web]'

FROM python:3.13-slim
COPY --from=build /opt/fasthits /opt/fasthits
RUN ln -s /opt/fasthits/bin/fasthits /usr/bin/ \
    && useradd --system --user-group --no-create-home --home-dir / fasthits \
    && install -d -m 0750 -o fasthits -g fasthits /var/lib/fasthits \
    && echo 'pages = true' >/etc/fasthits.toml
USER fasthits
VOLUME /var/lib/fasthits
ENTRYPOINT ["fasthits"]
CMD ["--help"]
