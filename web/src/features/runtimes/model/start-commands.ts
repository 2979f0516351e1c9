/** Ways to start a runtime with its token, ready to paste: what works today first. Nothing in them but the token is secret. */

export interface StartCommand {
  name: string;
  text: string;
  hint: string;
  /** What must exist before the command works, where it does not exist yet. */
  needs?: string;
}

const IMAGE =
  "No image of the runtime is published yet. This works where an image named spin-runtime:latest has been built; until then start it from a checkout.";
const CHART =
  "Neither an image of the runtime nor this chart is published yet. This works once both are; until then start it from a checkout.";

export function startCommands(token: string, url: string): StartCommand[] {
  const port = new URL(url).port || (url.startsWith("https:") ? "443" : "80");
  return [
    {
      name: "From a checkout",
      hint: "In a checkout of SPIN, on a machine with Python 3.11 or newer and make. SPIN_HOME is where the runtime keeps its identity: start it with the same folder and the same token again.",
      text: [
        "make setup",
        `export SPIN_TOKEN='${token}'`,
        `export SPIN_RUNTIME_PORT=${port}`,
        'export SPIN_HOME="$HOME/.spin-runtime"',
        "export REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt",
        ".venv/bin/spin-runtime",
      ].join("\n"),
    },
    {
      name: "Docker",
      needs: IMAGE,
      hint: "The volume keeps the runtime’s identity over upgrades. Mount cert.pem and key.pem into /opt/spin for https.",
      text: [
        `export SPIN_TOKEN='${token}'`,
        "docker run --detach --name spin-runtime --restart unless-stopped \\",
        `  --publish ${port}:8888 \\`,
        "  --env SPIN_TOKEN \\",
        "  --env REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \\",
        "  --volume spin-runtime:/opt/spin/var \\",
        "  spin-runtime:latest",
      ].join("\n"),
    },
    {
      name: "Compose",
      needs: IMAGE,
      hint: "Put the token into .env beside the file: SPIN_TOKEN=…",
      text: [
        "services:",
        "  spin-runtime:",
        "    image: spin-runtime:latest",
        "    restart: unless-stopped",
        `    ports: ["${port}:8888"]`,
        "    environment:",
        "      SPIN_TOKEN: ${SPIN_TOKEN:?}",
        "      REQUESTS_CA_BUNDLE: /etc/ssl/certs/ca-certificates.crt",
        "    volumes: [spin-runtime:/opt/spin/var]",
        "volumes:",
        "  spin-runtime:",
        "",
        "# .env",
        `# SPIN_TOKEN=${token}`,
      ].join("\n"),
    },
    {
      name: "Helm",
      needs: CHART,
      hint: "From a checkout of SPIN; the token goes into a Secret.",
      text: [
        `export SPIN_TOKEN='${token}'`,
        'kubectl create secret generic spin-runtime --from-file=token=<(printf %s "$SPIN_TOKEN")',
        "helm install spin-runtime ./helm/spin-runtime \\",
        "  --set token.existingSecret=spin-runtime \\",
        `  --set service.port=${port}`,
      ].join("\n"),
    },
  ];
}
