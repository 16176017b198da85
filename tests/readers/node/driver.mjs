// One call for each line of input; what happened is printed.

import { createInterface } from "node:readline";
import { call } from "./guide.mjs";

async function request(token) {
  const url = `${process.env.SIMULATOR_URL}/cgi-bin/get_api_domain_ip?access_token=${token}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  const answer = await response.json();
  console.log(answer.errcode ?? "accepted", token);
  return answer;
}

for await (const _ of createInterface({ input: process.stdin })) {
  try {
    await call(process.env.CREDENTIAL_ID, request);
    console.log("done");
  } catch (error) {
    console.log("failed:", error.message);
  }
}
process.exit(); // the guide's connection stays open
