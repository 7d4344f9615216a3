# Copy to lib/tasks/ of a Rails app, or beside any Rakefile that imports it.
#
#   rake memcached:flush          whole instances, for everybody on them
#   rake 'memcached:clear[shop]'  the keys that begin with "shop:" (or "shop/", where that is what you name), and no others
#
# The servers are those of MCFLUSH_SERVERS or MEMCACHE_SERVERS. The exit status is mcflush's own, 127 where it is missing.
#
# Rails.cache.clear is no way to do the second: on MemCacheStore it is flush_all, for everybody, whatever the namespace.

namespace :memcached do
  mcflush = lambda do |*arguments|
    next if system("mcflush", *arguments)
    warn "mcflush is not in PATH: nothing was flushed" if $?.exitstatus == 127
    exit($?.exitstatus || 128 + $?.termsig)
  end

  desc "Empty whole memcached instances"
  task(:flush) { mcflush.call("--all") }

  desc "Delete one app's keys from memcached"
  task :clear, [:app] do |_task, given|
    app = given[:app].to_s
    if app.empty?
      warn "memcached:clear needs the app's name: rake 'memcached:clear[shop]'"
      exit 2
    end
    mcflush.call("--prefix=#{app.end_with?(":", "/", ".", "|") ? app : "#{app}:"}")
  end
end
