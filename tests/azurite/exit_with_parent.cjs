// Loaded before Azurite (node --require): ends it when its standard input closes, which happens
// however the tests end, so that none is left running.
process.stdin.on("end", () => process.exit(0)).resume();
