# An app that caches 500 entries: store.rb LIBRARY ACTION APP. A name that the library refuses is stored percent-encoded, or
# where it is too long by its digest, as apps do.
require "digest"
require "erb"
library, action, app = ARGV
server = ENV.fetch("SERVER")

case library
when "rails"
  require "active_support"
  require "active_support/cache"
  require "active_support/cache/mem_cache_store"
  cache = ActiveSupport::Cache::MemCacheStore.new(server, namespace: app)
  write = ->(name, value) { cache.write(name, value) }
  read = ->(name) { cache.read(name) }
  clear = -> { cache.clear(namespace: app) }
when "rails-array-keys"
  require "active_support"
  require "active_support/cache"
  require "active_support/cache/mem_cache_store"
  cache = ActiveSupport::Cache::MemCacheStore.new(server)
  write = ->(name, value) { cache.write([app, name], value) }
  read = ->(name) { cache.read([app, name]) }
  clear = -> { cache.clear }
when "dalli"
  require "dalli"
  cache = Dalli::Client.new(server, namespace: app)
  write = ->(name, value) { cache.set(name, value) }
  read = ->(name) { cache.get(name) }
  clear = -> { cache.flush }
end

entries = File.readlines(ENV.fetch("NAMES"), chomp: true, encoding: "UTF-8").map { |line| line.split("\t", 2) }
substitute = ->(name) { name.bytesize > 200 ? Digest::SHA256.hexdigest(name) : ERB::Util.url_encode(name) }
try = lambda do |&block|
  block.call
rescue ArgumentError
  nil
end

case action
when "fill"
  refused = entries.map do |kind, name|
    next if try.call { write.call(name, "#{app} #{name}") }
    write.call(substitute.call(name), "#{app} #{name}") or abort "#{name}: not stored"
    kind
  end
  puts refused.compact.uniq.join(", ").then { |kinds| kinds.empty? ? "none" : kinds }
when "count"
  puts(entries.count do |_kind, name|
    [name, substitute.call(name)].any? { |used| try.call { read.call(used) } == "#{app} #{name}" }
  end)
when "clear" then clear.call
when "write" then write.call(ENV.fetch("NAME").b, "x")
when "read" then puts read.call(ENV.fetch("NAME").b).inspect
end
