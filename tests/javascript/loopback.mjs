// Loaded first (node --import): every name is this computer, so that libraries find the server under test by its domain.
import dns from "node:dns";

const address = { address: "127.0.0.1", family: 4 };

dns.lookup = (_name, options, callback) => {
  const [settings, done] = typeof options === "function" ? [{}, options] : [options, callback];
  process.nextTick(() => {
    if (settings?.all) done(null, [address]);
    else done(null, address.address, address.family);
  });
};
