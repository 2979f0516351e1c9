/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** `npm run dev` serves the page here and sends calls on to the gateway; a build is served by the gateway itself. */
const gateway = process.env.SPIN_GATEWAY ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  server: {
    port: 5173,
    proxy: { "^/(spinapis\\.|v1/|\\.well-known/)": { target: gateway, changeOrigin: true } },
  },
  build: {
    outDir: "dist",
    target: "es2023",
    // Assets stay files: the page's policy allows no data: scripts or fonts, and the gateway caches by hashed name.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    modulePreload: { polyfill: false },
  },
  test: {
    testTimeout: 20_000,
    projects: [
      // Pure code is tested without a page, which is quicker; components get one.
      {
        extends: true,
        test: {
          name: "pure",
          environment: "node",
          include: ["src/**/*.test.ts"],
          setupFiles: ["src/testing/setup.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "page",
          environment: "jsdom",
          include: ["src/**/*.test.tsx"],
          setupFiles: ["src/testing/setup.ts", "src/testing/setup-dom.ts"],
        },
      },
    ],
  },
});
