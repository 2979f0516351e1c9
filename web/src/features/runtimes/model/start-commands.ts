/** Ways to start a runtime with its token, ready to paste. Nothing in them but the token is secret. */

export interface StartCommand {
  name: string;
  text: string;
  hint: string;
}

export function startCommands(token: string, url: string): StartCommand[] {
  const port = new URL(url).port || (url.startsWith("https:") ? "443" : "80");
  return [
    {
      name: "Plain",
      hint: "On a machine where spin-runtime is installed.",
      text: [`export SPIN_TOKEN='${token}'`, `export SPIN_RUNTIME_PORT=${port}`, "spin-runtime"].join("\n"),
    },
    {
      name: "Docker",
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
