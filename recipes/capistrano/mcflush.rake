# Copy to lib/capistrano/tasks/, from where the Capfile of `cap install` loads it. In config/deploy.rb:
#
#   append :linked_dirs, "tmp"                  the maintenance flag lies in shared/tmp, and outlives the switch of releases
#   set :mcflush_servers, %w[cache1 cache2]     else what MCFLUSH_SERVERS says on the app server; goes to the log: no passwords
#   set :mcflush_prefix, "shop:"                clears one app's keys; without it each deploy empties whole instances
#
# mcflush has to be in PATH for a command by ssh: else SSHKit.config.command_map[:mcflush] = "/path/to/mcflush".
# The site answers by recipes/apache/maintenance.conf. After a failure it is unlocked, with the new code and an old cache: the
# run is red, and `cap STAGE memcached:clear` (or :flush) is to be repeated.

require "shellwords"

namespace :memcached do
  # Once, and not on each app server. A filter such as --hosts that leaves this server out would do nothing, and say nothing.
  mcflush = lambda do |*arguments|
    done = false
    servers = fetch(:mcflush_servers)
    on primary(:app) do
      within current_path do
        with(servers ? { mcflush_servers: Array(servers).join(",") } : {}) do
          execute :mcflush, *arguments.map(&:shellescape)
          done = true
        end
      end
    end
    raise "memcached was not emptied: the primary app server is not among the chosen hosts" unless done
  end

  desc "Empty whole memcached instances"
  task(:flush) { mcflush.call("--all") }

  desc "Delete the keys that begin with :mcflush_prefix from memcached"
  task :clear do
    prefixes = Array(fetch(:mcflush_prefix))
    raise 'memcached:clear needs a prefix: set :mcflush_prefix, "shop:"' if prefixes.empty?
    mcflush.call(*prefixes.map { |prefix| "--prefix=#{prefix}" })
  end

  task(:after_deploy) { invoke(fetch(:mcflush_prefix) ? "memcached:clear" : "memcached:flush") }
end

namespace :apache do
  flag = -> { shared_path.join("tmp/maintenance.txt") }

  # Not tmp/restart.txt: Passenger looks at that every 10 s only, and the old code would fill the cache again.
  desc "Restart the app, at once"
  task :restart do
    on release_roles(:app) do
      execute "passenger-config", "restart-app", "--ignore-app-not-running", current_path
    end
  end

  desc "Answer every request with the maintenance page"
  task :lock do
    raise 'the flag would not be seen: append :linked_dirs, "tmp"' unless fetch(:linked_dirs, []).include?("tmp")
    on(release_roles(:app)) { execute :touch, flag.call }
  end

  desc "Open the site again"
  task :unlock do
    on(release_roles(:app)) { execute :rm, "-f", flag.call }
  end

  # Only of a run that is "deploying" Capistrano says deploy:failed; of a rollback it would not.
  task(:watch_rollback) { set :deploying, true }
end

before "deploy:updating", "apache:lock"
before "deploy:reverting", "apache:watch_rollback"
before "deploy:reverting", "apache:lock"
after "deploy:published", "apache:restart"
after "deploy:published", "memcached:after_deploy"
after "deploy:finished", "apache:unlock"
after "deploy:failed", "apache:unlock"
