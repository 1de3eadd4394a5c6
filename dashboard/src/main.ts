import { mount } from "svelte";

import App from "./App.svelte";
import "./app.css";
import { theme } from "./shell/theme.svelte";

theme.apply();

const target = document.getElementById("page");
if (target !== null) mount(App, { target });
