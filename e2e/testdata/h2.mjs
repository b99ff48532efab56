// A web server of Node over HTTP/2, without TLS at one address and with it at another.
//
//   node h2.mjs HOST PORT PORT-WITH-TLS FOLDER-OF-CERTIFICATE
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';

const [host, port, securePort, folder] = process.argv.slice(2);

const pages = {
  '/health': (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'x-server': 'node' });
    stream.end('{"status":"ok","database":{"connected":true}}');
  },
  '/sick': (stream) => {
    stream.respond({ ':status': 503 });
    stream.end('no database');
  },
  '/trailers': (stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
    stream.end('ok');
  },
  '/early': (stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</a.css>' });
    stream.respond({ ':status': 200 });
    stream.end('ok');
  },
  '/large': (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('x'.repeat(4 << 20));
  },
  '/reset': (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
  '/goaway': ({ session }) => {
    session.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    setImmediate(() => session.destroy());
  },
  '/hang': () => {},
};

function serve(stream, headers) {
  stream.on('error', () => {}); // checkers leave before the end
  const page = pages[headers[':path']];
  if (page) {
    page(stream);
  } else {
    stream.respond({ ':status': 404 }, { endStream: true });
  }
}

const servers = [
  [http2.createServer(), port],
  [http2.createSecureServer({
    cert: fs.readFileSync(path.join(folder, 'own.pem')),
    key: fs.readFileSync(path.join(folder, 'own.key')),
  }), securePort],
];
for (const [server, at] of servers) {
  server.on('stream', serve);
  server.on('session', (session) => session.on('error', () => {}));
  server.listen(Number(at), host);
}
