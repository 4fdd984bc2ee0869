# A site of one machine, for a first run. A real site has its own settings, and needs nothing of this.
site_configuration = {
    'systems': [
        {
            'name': 'here',
            'descr': 'this machine',
            'hostnames': ['.*'],
            'partitions': [{'name': 'default', 'scheduler': 'local', 'launcher': 'local', 'environs': ['plain']}],
        }
    ],
    'environments': [{'name': 'plain', 'cc': 'cc', 'cxx': '', 'ftn': ''}],
}
