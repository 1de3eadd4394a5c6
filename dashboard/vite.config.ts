import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const apiServer = process.env["MILLSTREAM_API"] ?? "http://127.0.0.1:8099";

const api = { proxy: { "/api": { target: apiServer, changeOrigin: true } } };

export default defineConfig({
  plugins: [svelte()],
  server: { host: "127.0.0.1", ...api },
  preview: { host: "127.0.0.1", ...api },
  build: {
    target: "es2022",
    // The charts and Arrow come as chunks of their own, after the first paint.
    chunkSizeWarningLimit: 900,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
