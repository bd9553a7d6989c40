# gpuaudit as an image. Two targets: `probe` holds what `gpuaudit node` needs and no more; the last one the whole tool.
#
#   digest=$(docker buildx imagetools inspect python:3.12-slim-bookworm --format '{{.Manifest.Digest}}')
#   docker build --build-arg BASE="python:3.12-slim-bookworm@$digest" --target probe -t registry.example/gpuaudit-probe .
#
# BASE is an image of Debian or Ubuntu with python3 (3.11 or newer) and venv, pinned by its digest: there is no default.
ARG BASE
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY gpuaudit gpuaudit
COPY rules rules
COPY templates templates
COPY fixtures/snapshots fixtures/snapshots
RUN python3 -m venv /opt/wheel \
 && /opt/wheel/bin/pip install --quiet --no-cache-dir -c constraints.txt build hatchling \
 && /opt/wheel/bin/python -m build --wheel --no-isolation --outdir /dist

# what reading a host, and publishing it, imports
FROM build AS probe-files
RUN python3 -m venv --without-pip /opt/gpuaudit \
 && /opt/wheel/bin/pip --python /opt/gpuaudit/bin/python3 install --quiet --no-cache-dir --no-compile -c constraints.txt \
    typer msgspec nvidia-ml-py rich \
 && /opt/wheel/bin/pip --python /opt/gpuaudit/bin/python3 install --quiet --no-cache-dir --no-compile --no-deps /dist/*.whl

FROM build AS files
RUN python3 -m venv --without-pip /opt/gpuaudit \
 && /opt/wheel/bin/pip --python /opt/gpuaudit/bin/python3 install --quiet --no-cache-dir --no-compile -c constraints.txt /dist/*.whl

FROM ${BASE} AS probe
COPY --from=probe-files /opt/gpuaudit /opt/gpuaudit
ENV PATH=/opt/gpuaudit/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["gpuaudit"]
CMD ["node"]

FROM ${BASE} AS gpuaudit
COPY --from=files /opt/gpuaudit /opt/gpuaudit
ENV PATH=/opt/gpuaudit/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["gpuaudit"]
CMD ["--help"]
