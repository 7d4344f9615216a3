# shellcheck shell=bash disable=SC2154 # folder is lib.sh's
# An Apache with Passenger of the part's own. To be sourced after lib.sh.

need_apache() {
    need_server /usr/sbin/apache2 apache2
    need_server /usr/lib/apache2/modules/mod_passenger.so libapache2-mod-passenger
    need_command passenger-config passenger
    need_command curl curl
    # Not whatever ruby is first in PATH: the one that Debian's rack was installed for.
    if ! /usr/bin/ruby -e 'require "rack"' 2>/dev/null; then install_package ruby-rack; fi
    # Its servers run as www-data, which has to get to what lies in here.
    chmod 755 "$folder"
}

# start_apache FILE: with the <VirtualHost>s of FILE, where every @PORT@ becomes a free port; they are put into the array
# ports, in the order of the file. Sets apache_pid and passenger_registry.
start_apache() {
    local template=$1 module
    local home=$folder/apache modules=/usr/lib/apache2/modules
    passenger_registry=$home/passenger
    for _ in 1 2 3 4 5; do
        rm -rf "$home"
        mkdir -p "$home" "$passenger_registry"
        ports=()
        {
            echo "ServerRoot $home"
            echo "ServerName localhost"
            echo "PidFile $home/pid"
            echo "DefaultRuntimeDir $home"
            echo "Mutex file:$home default"
            echo "ErrorLog $home/error.log"
            for module in mpm_event authz_core dir mime alias rewrite headers passenger; do
                echo "LoadModule ${module}_module $modules/mod_$module.so"
            done
            if [ "$(id -u)" -eq 0 ]; then printf 'User www-data\nGroup www-data\n'; fi
            cat <<CONF
TypesConfig /etc/mime.types
ServerLimit 1
ThreadsPerChild 16
MaxRequestWorkers 16
PassengerRoot $(passenger-config --root)
PassengerDefaultRuby /usr/bin/ruby
PassengerInstanceRegistryDir $passenger_registry
PassengerLogFile $home/passenger.log
PassengerDisableSecurityUpdateCheck on
PassengerDisableAnonymousTelemetry on
PassengerMaxPoolSize 6
<Files ".ht*">
    Require all denied
</Files>
CONF
            local line port
            while IFS= read -r line; do
                if [[ $line == *@PORT@* ]]; then
                    port=$(free_port)
                    ports+=("$port")
                    printf 'Listen 127.0.0.1:%s\n' "$port"
                    line=${line//@PORT@/$port}
                fi
                printf '%s\n' "$line"
            done <"$template"
        } >"$home/apache2.conf"
        /usr/sbin/apache2 -f "$home/apache2.conf" -DFOREGROUND >"$home/out.log" 2>&1 &
        apache_pid=$!
        if until_true 60 apache_answers_or_ended && kill -0 "$apache_pid" 2>/dev/null; then
            pids+=("$apache_pid")
            return
        fi
    done
    cat "$home/out.log" "$home/error.log" >&2 || true
    die "apache2 did not start: see above"
}

apache_answers_or_ended() {
    ! kill -0 "$apache_pid" 2>/dev/null || (exec 6<>"/dev/tcp/127.0.0.1/${ports[0]}") 2>/dev/null
}

# show_apache_log: for when a check failed.
show_apache_log() { tail -n 40 "$folder"/apache/*.log >&2 || true; }
