# The image holds Python, the locked packages of requirements/runtime.txt and Tidemark: no compiler, no servers.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/tidemark
ENV PATH=/opt/tidemark/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Packages first: they change less often than the code, and this layer is the large one.
COPY requirements/runtime.txt requirements/build.in requirements/
RUN pip install --only-binary :all: --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY analytics analytics
COPY app app
COPY ingest ingest
COPY migrations migrations
RUN pip install --no-deps --no-build-isolation .
COPY ops/shrink-image ops/shrink-image
RUN ops/shrink-image /opt/tidemark

FROM python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tidemark" \
      org.opencontainers.image.description="Product analytics: Postgres holds the events, DuckDB answers the questions" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --home-dir /var/lib/tidemark --create-home tidemark
COPY --from=build /opt/tidemark /opt/tidemark
ENV PATH=/opt/tidemark/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    API_HOST=0.0.0.0 \
    TIDEMARK_HOME=/var/lib/tidemark/home \
    MIRROR_DIRECTORY=/var/lib/tidemark/mirror \
    TEMP_DIRECTORY=/var/lib/tidemark
USER tidemark
WORKDIR /var/lib/tidemark
VOLUME /var/lib/tidemark
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "app.probe"]
ENTRYPOINT ["tidemark"]
CMD ["serve"]
