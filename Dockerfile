# llmgate with its server and nothing else: docs/how_to/docker.md says how to run it.
# It listens on every address of the container, and therefore starts only with client authentication configured or with
# LLMGATE__SERVER__ALLOW_OPEN=true.

FROM python:3.13-slim AS build
WORKDIR /source
# Every wheel is checked against the lock's hashes here; what follows installs from these files and from nowhere else.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --no-deps --only-binary :all: --dest /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE THIRD_PARTY_NOTICES.md ./
COPY src src
RUN python -m venv --without-pip /opt/llmgate \
    && pip --python /opt/llmgate/bin/python install --quiet --no-index --find-links /wheels '.[server]'

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /etc/llmgate --shell /usr/sbin/nologin llmgate \
    && pip uninstall --quiet --yes --root-user-action ignore pip
COPY --from=build /opt/llmgate /opt/llmgate
ENV PATH=/opt/llmgate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LLMGATE__SERVER__ADDRESS=0.0.0.0
WORKDIR /etc/llmgate
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; port = os.environ.get('LLMGATE__SERVER__PORT', '8080'); urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=2)"]
ENTRYPOINT ["llmgate"]
CMD ["serve"]
