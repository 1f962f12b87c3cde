# brule in a container that runs as an ordinary user. /work is the folder that it reads and writes:
#   docker build -t brule .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" brule predict runs/first photos/ -o landmarks
# TORCH names the build of PyTorch: cpu, or one for a version of CUDA such as cu128.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH=cpu
ARG EXTRAS=web,log,export,dicom,heic
# Compiled here: the user who runs it can't write beside the modules, and compiling PyTorch takes seconds at every start.
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
COPY pyproject.toml constraints-cpu.txt README.md LICENSE ./
COPY src ./src
# The constraints name the CPU build's version; another build takes the newest that there is.
RUN if [ "${TORCH}" != cpu ]; then : > constraints-cpu.txt; fi \
    && uv venv /opt/brule \
    && uv pip install --no-cache --python /opt/brule/bin/python --torch-backend "${TORCH}" \
       -c constraints-cpu.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="brule" \
      org.opencontainers.image.description="Landmark detectors from unlabelled images and about ten annotated shapes" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/brule /opt/brule
COPY tools/healthcheck.py /opt/brule/healthcheck.py
# Any user id may run it (--user), so what is written outside /work goes to a folder that is everybody's.
ENV PATH=/opt/brule/bin:$PATH \
    BRULE_CACHE=/tmp/brule-cache MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
RUN useradd --uid 1000 --create-home brule && install -d -o brule -g brule /work
USER 1000
WORKDIR /work
# Asks the server how it is where one runs (brule serve RUN --host 0.0.0.0); other commands are healthy while they run.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["python", "/opt/brule/healthcheck.py"]
ENTRYPOINT ["brule"]
CMD ["--help"]
