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
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/testing/setup.ts"],
    testTimeout: 20_000,
  },
});
