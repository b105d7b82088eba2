/** service print systemd | container: files that run `serve` as a service. Text on standard output. */
import { exitCodes } from '../errors.ts'
import type { Io } from '../io.ts'
import { packageVersion } from '../package-info.ts'
import type { Define } from './command.ts'

const systemd = `# /etc/systemd/system/gonka-miner.service
[Unit]
Description=Gonka ML node
Wants=network-online.target
After=network-online.target

[Service]
User=gonka-miner
StateDirectory=gonka-miner
Environment=GONKA_MINER_DATA_DIR=/var/lib/gonka-miner
ExecStart=/usr/bin/env gonka-miner serve --config /etc/gonka-miner.toml
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
# Everything unsent is on disk: a stop never needs long.
TimeoutStopSec=15
# The exit code of a node that was told to stop.
SuccessExitStatus=130
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`

const container = (
  version: string,
) => `# docker build -t gonka-miner . && docker run --gpus all -v gonka-miner:/data -p 127.0.0.1:8080:8080 gonka-miner
FROM node:22-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
RUN npm install --global --prefix /opt/gonka-miner gonka-miner@${version}

FROM node:22-bookworm-slim
COPY --from=build /opt/gonka-miner /opt/gonka-miner
ENV PATH=/opt/gonka-miner/bin:$PATH GONKA_MINER_DATA_DIR=/data
RUN useradd --system --create-home miner && mkdir /data && chown miner /data
USER miner
VOLUME /data
EXPOSE 8080 5050
# Inside a container loopback reaches nobody. Whoever publishes the port beyond this machine sets GONKA_MINER_LISTEN_TOKEN.
CMD ["gonka-miner", "serve", "--listen-host", "0.0.0.0"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD node -e "fetch('http://127.0.0.1:8080/readyz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"
`

export const define: Define = (command, run) => {
  const print = command.command('print').description('print a service file')
  print
    .command('systemd')
    .description('unit for systemd')
    .action(
      run(async (io: Io) => {
        io.out.write(systemd)
        return exitCodes.ok
      }),
    )
  print
    .command('container')
    .description('Dockerfile')
    .action(
      run(async (io: Io) => {
        io.out.write(container(packageVersion()))
        return exitCodes.ok
      }),
    )
}
