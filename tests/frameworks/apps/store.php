<?php
// An app that caches 500 entries: store.php LIBRARY ACTION APP. A name that the library refuses is stored percent-encoded,
// or where it is too long by its digest, as apps do.
[, $library, $action, $app] = $argv;
$server = getenv('SERVER');

if ($library === 'sessions') {
    ini_set('session.save_handler', 'memcached');
    ini_set('session.save_path', $server);
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    // One that waits for a lock that the last read left would wait for seconds.
    ini_set('memcached.sess_locking', '0');
    ini_set('memcached.sess_prefix', "$app.sess.");
    // PHP makes the ids itself, of letters and digits; no visitor's words are in them.
    $session = function (string $visitor, ?string $value) {
        session_id(hash('sha256', $visitor));
        session_start();
        if ($value !== null) {
            $_SESSION['value'] = $value;
        }
        $found = $_SESSION['value'] ?? false;
        session_write_close();
        return $found;
    };
    $write = fn($name, $value) => $session($name, $value) === $value;
    $read = fn($name) => $session($name, null);
    $clear = fn() => null;
} elseif ($library === 'symfony') {
    require_once 'Symfony/Component/Cache/autoload.php';
    $pool = new Symfony\Component\Cache\Adapter\MemcachedAdapter(
        Symfony\Component\Cache\Adapter\MemcachedAdapter::createConnection("memcached://$server"),
        $app,
    );
    $write = fn($name, $value) => $pool->save($pool->getItem($name)->set($value));
    $read = fn($name) => $pool->getItem($name)->get();
    $clear = fn() => $pool->clear();
} elseif ($library === 'laravel') {
    require_once 'Illuminate/Cache/autoload.php';
    [$host, $port] = explode(':', $server);
    $memcached = (new Illuminate\Cache\MemcachedConnector())->connect([['host' => $host, 'port' => (int) $port, 'weight' => 100]]);
    $cache = new Illuminate\Cache\Repository(new Illuminate\Cache\MemcachedStore($memcached, $app));
    $write = fn($name, $value) => $cache->forever($name, $value);
    $read = fn($name) => $cache->get($name);
    $clear = fn() => $cache->clear();
} else {
    $memcached = new Memcached();
    $memcached->setOption(Memcached::OPT_BINARY_PROTOCOL, $library === 'binary');
    $memcached->setOption(Memcached::OPT_TCP_NODELAY, true);
    $memcached->setOption(Memcached::OPT_PREFIX_KEY, getenv('PREFIX') ?: "$app:");
    [$host, $port] = explode(':', $server);
    $memcached->addServer($host, (int) $port);
    $write = fn($name, $value) => $memcached->set($name, $value);
    $read = fn($name) => $memcached->get($name);
    $clear = fn() => $memcached->flush();
}

$entries = array_map(fn($line) => explode("\t", $line, 2), file(getenv('NAMES'), FILE_IGNORE_NEW_LINES));
$substitute = fn($name) => strlen($name) > 200 ? hash('sha256', $name) : rawurlencode($name);

switch ($action) {
    case 'fill':
        $refused = [];
        foreach ($entries as [$kind, $name]) {
            if (!$write($name, "$app $name")) {
                if (!$write($substitute($name), "$app $name")) {
                    fwrite(STDERR, "$name: not stored\n");
                    exit(1);
                }
                $refused[$kind] = true;
            }
        }
        echo implode(', ', array_keys($refused)) ?: 'none';
        break;
    case 'count':
        $found = 0;
        foreach ($entries as [, $name]) {
            $found += $read($name) === "$app $name" || $read($substitute($name)) === "$app $name";
        }
        echo $found;
        break;
    case 'clear':
        $clear();
        break;
}
