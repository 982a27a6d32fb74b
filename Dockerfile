# One image, three roles: trader (the default), exchange, generator.
FROM python:3.11-slim AS build
# For a build without a package index: PIP_OPTIONS="--no-index --find-links /src/wheels".
ARG PIP_OPTIONS=""
WORKDIR /src
COPY . .
# --require-hashes: what was locked is what is installed. The project itself comes last, without
# dependencies and without a build environment of its own to download. Nothing that could install
# more is left behind.
RUN python3 -m venv /app \
    && /app/bin/python -m pip install --no-cache-dir --disable-pip-version-check $PIP_OPTIONS \
        --require-hashes -r requirements/service.txt \
    && /app/bin/python -m pip install --no-cache-dir --disable-pip-version-check $PIP_OPTIONS \
        --no-deps --no-build-isolation . \
    && /app/bin/python -m pip uninstall --yes --quiet setuptools wheel pip \
    && /app/bin/python -m compileall -q /app/lib
# In place of the console script: it knows which broker this container trades with. A checkout on
# Windows may have neither the mode nor the line ends that a script needs.
RUN for name in signalpaca generator; do \
        tr -d '\r' <deploy/docker/$name >/app/bin/$name && chmod 0755 /app/bin/$name || exit 1; \
    done

FROM python:3.11-slim
# A number, so that Kubernetes can check runAsNonRoot. A new named volume takes over owner and mode
# of the folder it is mounted on.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin signalpaca \
    && mkdir -p /data /logs /control \
    && chown 10001:10001 /data /logs /control \
    && chmod 0700 /data /logs /control
COPY --from=build /app /app
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LOG_DIR=/logs \
    KILL_SWITCH_FILE=/control/kill_switch
USER 10001:10001
WORKDIR /data
STOPSIGNAL SIGTERM
CMD ["signalpaca"]
